"""Tests of the backup service."""
