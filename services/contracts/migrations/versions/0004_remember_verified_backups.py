"""Remember the newest verified backup of each server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant

revision = "0004"
down_revision = "0003"
phase = "expand"


def upgrade() -> None:
    op.create_table(
        "verified_backups",
        sa.Column("protection_id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("run_id", sa.Uuid),
        sa.Column("completed_at", Instant()),
        sa.Column("deleted_at", Instant()),
        sa.CheckConstraint("(run_id IS NULL) = (completed_at IS NULL)", name=op.f("ck_verified_backups_completed")),
        sa.CheckConstraint(
            "completed_at IS NOT NULL OR deleted_at IS NOT NULL", name=op.f("ck_verified_backups_heard")
        ),
        sa.PrimaryKeyConstraint("protection_id", name="pk_verified_backups"),
    )
    op.create_index("ix_verified_backups_server_id_completed_at", "verified_backups", ["server_id", "completed_at"])


def downgrade() -> None:
    op.drop_table("verified_backups")
