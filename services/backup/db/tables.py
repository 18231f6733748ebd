"""The backup service's own tables; their constraints say what must be true."""

from __future__ import annotations

import sqlalchemy as sa

from shared.kit.db import Instant, json_type
from shared.kit.tables import NAMING

metadata = sa.MetaData(naming_convention=NAMING)

NOT_PURGED = sa.text("status <> 'purged'")
ACTIVE = sa.text("status = 'active'")
"""A literal, so that the partial indexes answer."""

STANDING = sa.text("status IN ('applied', 'approved')")

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("registered_at", Instant, nullable=False),
)

coverages = sa.Table(
    "coverages",
    metadata,
    sa.Column("contract_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("agreement_version", sa.String(200), nullable=False),
    sa.Column("server_ids", json_type()),
    sa.Column("period_index", sa.Integer),
    sa.Column("period_ends_at", Instant),
    sa.Column("every_hours", sa.Integer),
    sa.Column("restore_target_hours", sa.Integer),
    sa.Column("terms_retention_days", sa.Integer),
    sa.Column("ended_period", sa.Integer),
    sa.Column("ended_at", Instant),
    sa.Column("retention_days", sa.Integer),
    sa.Column("extended_period", sa.Integer),
    sa.Column("extended_until", Instant),
    sa.Column("remote_every_hours", sa.Integer),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("every_hours > 0", name="every"),
    sa.CheckConstraint("remote_every_hours > 0", name="remote_every"),
    sa.CheckConstraint("(ended_at IS NULL) = (ended_period IS NULL)", name="end"),
)

protections = sa.Table(
    "protections",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("agreement_version", sa.String(200), nullable=False),
    sa.Column("place", sa.String(10), nullable=False, server_default="local"),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("period_ends_at", Instant, nullable=False),
    sa.Column("every_hours", sa.Integer, nullable=False),
    sa.Column("restore_target_hours", sa.Integer, nullable=False),
    sa.Column("retention_days", sa.Integer, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("next_slot_at", Instant),
    sa.Column("last_slot_at", Instant),
    sa.Column("uncovered_since", Instant),
    sa.Column("missed_slots", sa.Integer, nullable=False),
    sa.Column("last_success_at", Instant),
    sa.Column("last_success_slot_at", Instant),
    sa.Column("last_success_run_id", sa.Uuid),
    sa.Column("ended_at", Instant),
    sa.Column("retain_until", Instant),
    sa.Column("data_deleted_at", Instant),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("place IN ('local', 'remote')", name="place"),
    sa.CheckConstraint("status IN ('active', 'ended', 'purged')", name="status"),
    sa.CheckConstraint("every_hours > 0", name="every"),
    sa.CheckConstraint("(status = 'active') = (next_slot_at IS NOT NULL)", name="next_slot"),
    sa.CheckConstraint("(status = 'active') = (retain_until IS NULL)", name="retained"),
    sa.CheckConstraint("data_deleted_at IS NULL OR status = 'purged'", name="deleted"),
    sa.Index(
        "uq_protections_contract_id_server_id_place",
        "contract_id",
        "server_id",
        "place",
        unique=True,
        postgresql_where=NOT_PURGED,
        sqlite_where=NOT_PURGED,
    ),
    sa.Index("ix_protections_customer_id_id", "customer_id", "id"),
    sa.Index("ix_protections_server_id", "server_id"),
    sa.Index("ix_protections_next_slot_at", "next_slot_at", postgresql_where=ACTIVE, sqlite_where=ACTIVE),
    sa.Index("ix_protections_uncovered_since", "uncovered_since", postgresql_where=ACTIVE, sqlite_where=ACTIVE),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("protection_id", sa.Uuid, sa.ForeignKey("protections.id"), nullable=False),
    sa.Column("server_id", sa.Uuid, nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("slot_at", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("reason", sa.String(40)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sample_path", sa.Text),
    sa.Column("sample_sha256", sa.String(64)),
    sa.Column("expected_files", sa.Integer),
    sa.Column("snapshot_id", sa.String(64)),
    sa.Column("files", sa.BigInteger),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("failed_at", Instant),
    sa.Column("completed_at", Instant),
    sa.Column("version", sa.Integer, nullable=False),
    sa.UniqueConstraint("protection_id", "slot_at"),
    sa.CheckConstraint("status IN ('due', 'failed', 'missed', 'succeeded')", name="status"),
    sa.CheckConstraint(
        "(status = 'succeeded') = (snapshot_id IS NOT NULL AND completed_at IS NOT NULL)",
        name="outcome",
    ),
    sa.Index("ix_runs_protection_id_id", "protection_id", "id"),
    sa.Index("ix_runs_server_id_status", "server_id", "status"),
)

restores = sa.Table(
    "restores",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("protection_id", sa.Uuid, sa.ForeignKey("protections.id"), nullable=False),
    sa.Column("run_id", sa.Uuid, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("server_id", sa.Uuid, nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("reason", sa.String(40)),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("sha256", sa.String(64)),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("within_target", sa.Boolean),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('requested', 'completed', 'failed', 'discarded')", name="status"),
    sa.CheckConstraint("(status IN ('completed', 'discarded')) = (sha256 IS NOT NULL)", name="outcome"),
    sa.CheckConstraint("(status = 'failed') = (reason IS NOT NULL)", name="reason"),
    sa.Index("ix_restores_customer_id_id", "customer_id", "id"),
    sa.Index("ix_restores_protection_id", "protection_id"),
)

remote_applications = sa.Table(
    "remote_applications",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("agreement_version", sa.String(200), nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("applied_by", sa.String(200), nullable=False),
    sa.Column("applied_at", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("reason", sa.String(40)),
    sa.Column("decided_by", sa.String(200)),
    sa.Column("decided_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('applied', 'approved', 'declined', 'withdrawn', 'ended')", name="status"),
    sa.CheckConstraint("(status = 'declined') = (reason IS NOT NULL)", name="reason"),
    sa.CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name="decided_by"),
    sa.CheckConstraint("(status IN ('approved', 'declined', 'ended')) = (decided_at IS NOT NULL)", name="decided"),
    sa.CheckConstraint("(status IN ('withdrawn', 'ended')) = (ended_at IS NOT NULL)", name="ended"),
    sa.Index(
        "uq_remote_applications_standing",
        "contract_id",
        "server_id",
        unique=True,
        postgresql_where=STANDING,
        sqlite_where=STANDING,
    ),
    sa.Index("ix_remote_applications_customer_id_id", "customer_id", "id"),
)
