"""Tests of the Compose files, without Docker: what they promise can be read in them."""
