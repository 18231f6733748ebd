"""Tests of services/notify/domain."""
