"""Migrations of the contracts database."""
