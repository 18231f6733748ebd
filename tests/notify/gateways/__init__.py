"""Tests of services/notify/gateways."""
