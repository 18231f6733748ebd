"""Run by Alembic."""

from shared.kit.migrations import run_environment

run_environment()
