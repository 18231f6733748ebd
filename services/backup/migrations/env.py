"""Alembic's environment."""

from shared.kit.migrations import run_environment

run_environment()
