"""Numbered revisions of billing's database."""
