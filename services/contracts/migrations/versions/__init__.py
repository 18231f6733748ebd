"""Numbered revisions, verb first."""
