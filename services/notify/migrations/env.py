"""Alembic runs this for every command."""

from shared.kit.migrations import run_environment

run_environment()
