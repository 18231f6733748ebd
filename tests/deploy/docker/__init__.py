"""Tests of the images, without Docker."""
