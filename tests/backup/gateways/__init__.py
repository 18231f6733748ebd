"""Tests of its gateways."""
