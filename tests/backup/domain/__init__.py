"""Tests of its domain."""
