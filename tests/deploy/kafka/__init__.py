"""Tests of what is asked of a Kafka cluster."""
