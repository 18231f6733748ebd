"""Tables of what the backup service tells."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant

verified_backups = sa.Table(
    "verified_backups",
    metadata,
    # One row per protection, whose facts arrive in their order: the newest backup of it, until its data is deleted.
    sa.Column("protection_id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, nullable=False),
    sa.Column("run_id", sa.Uuid),
    sa.Column("completed_at", Instant),
    sa.Column("deleted_at", Instant),
    sa.CheckConstraint("(run_id IS NULL) = (completed_at IS NULL)", name="completed"),
    sa.CheckConstraint("completed_at IS NOT NULL OR deleted_at IS NOT NULL", name="heard"),
    sa.Index("ix_verified_backups_server_id_completed_at", "server_id", "completed_at"),
)
