"""Create what a rolling upgrade asks: who runs, and which release is the oldest that still may."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant


def upgrade() -> None:
    op.create_table(
        "running_processes",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_running_processes"),
    )
    op.create_table(
        "version_floor",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("revision", sa.String(10), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_version_floor_single"),
        sa.PrimaryKeyConstraint("id", name="pk_version_floor"),
    )


def downgrade() -> None:
    op.drop_table("version_floor")
    op.drop_table("running_processes")
