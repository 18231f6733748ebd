"""Create the tables of the backup service."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, json_type
from shared.kit.revisions import kit_0001

revision = "0001"
down_revision = None
phase = "expand"


def upgrade() -> None:
    kit_0001.upgrade()
    not_purged = sa.text("status <> 'purged'")
    op.create_table(
        "servers",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("registered_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
    )
    op.create_table(
        "coverages",
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("agreement_version", sa.String(200), nullable=False),
        sa.Column("server_ids", json_type()),
        sa.Column("period_index", sa.Integer),
        sa.Column("period_ends_at", Instant()),
        sa.Column("every_hours", sa.Integer),
        sa.Column("restore_target_hours", sa.Integer),
        sa.Column("terms_retention_days", sa.Integer),
        sa.Column("ended_period", sa.Integer),
        sa.Column("ended_at", Instant()),
        sa.Column("retention_days", sa.Integer),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("every_hours > 0", name=op.f("ck_coverages_every")),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_period IS NULL)", name=op.f("ck_coverages_end")),
        sa.PrimaryKeyConstraint("contract_id", name="pk_coverages"),
    )
    op.create_table(
        "protections",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("agreement_version", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("period_ends_at", Instant(), nullable=False),
        sa.Column("every_hours", sa.Integer, nullable=False),
        sa.Column("restore_target_hours", sa.Integer, nullable=False),
        sa.Column("retention_days", sa.Integer, nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("next_slot_at", Instant()),
        sa.Column("last_slot_at", Instant()),
        sa.Column("uncovered_since", Instant()),
        sa.Column("missed_slots", sa.Integer, nullable=False),
        sa.Column("last_success_at", Instant()),
        sa.Column("last_success_slot_at", Instant()),
        sa.Column("last_success_run_id", sa.Uuid),
        sa.Column("ended_at", Instant()),
        sa.Column("retain_until", Instant()),
        sa.Column("data_deleted_at", Instant()),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("status IN ('active', 'ended', 'purged')", name=op.f("ck_protections_status")),
        sa.CheckConstraint("every_hours > 0", name=op.f("ck_protections_every")),
        sa.CheckConstraint("(status = 'active') = (next_slot_at IS NOT NULL)", name=op.f("ck_protections_next_slot")),
        sa.CheckConstraint("(status = 'active') = (retain_until IS NULL)", name=op.f("ck_protections_retained")),
        sa.CheckConstraint("data_deleted_at IS NULL OR status = 'purged'", name=op.f("ck_protections_deleted")),
        sa.PrimaryKeyConstraint("id", name="pk_protections"),
    )
    op.create_index(
        "uq_protections_contract_id_server_id",
        "protections",
        ["contract_id", "server_id"],
        unique=True,
        postgresql_where=not_purged,
        sqlite_where=not_purged,
    )
    op.create_index("ix_protections_customer_id_id", "protections", ["customer_id", "id"])
    op.create_index("ix_protections_server_id", "protections", ["server_id"])
    active = sa.text("status = 'active'")
    for column in ("next_slot_at", "uncovered_since"):
        op.create_index(
            f"ix_protections_{column}", "protections", [column], postgresql_where=active, sqlite_where=active
        )
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column(
            "protection_id", sa.Uuid, sa.ForeignKey("protections.id", name="fk_runs_protection_id"), nullable=False
        ),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("slot_at", Instant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(40)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("sample_path", sa.Text),
        sa.Column("sample_sha256", sa.String(64)),
        sa.Column("expected_files", sa.Integer),
        sa.Column("snapshot_id", sa.String(64)),
        sa.Column("files", sa.BigInteger),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("failed_at", Instant()),
        sa.Column("completed_at", Instant()),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("protection_id", "slot_at", name="uq_runs_protection_id_slot_at"),
        sa.CheckConstraint("status IN ('due', 'failed', 'missed', 'succeeded')", name=op.f("ck_runs_status")),
        sa.CheckConstraint(
            "(status = 'succeeded') = (snapshot_id IS NOT NULL AND completed_at IS NOT NULL)",
            name=op.f("ck_runs_outcome"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_protection_id_id", "runs", ["protection_id", "id"])
    op.create_index("ix_runs_server_id_status", "runs", ["server_id", "status"])
    op.create_table(
        "restores",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column(
            "protection_id", sa.Uuid, sa.ForeignKey("protections.id", name="fk_restores_protection_id"), nullable=False
        ),
        sa.Column("run_id", sa.Uuid, sa.ForeignKey("runs.id", name="fk_restores_run_id"), nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(40)),
        sa.Column("requested_at", Instant(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant()),
        sa.Column("sha256", sa.String(64)),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("within_target", sa.Boolean),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint(
            "status IN ('requested', 'completed', 'failed', 'discarded')", name=op.f("ck_restores_status")
        ),
        sa.CheckConstraint(
            "(status IN ('completed', 'discarded')) = (sha256 IS NOT NULL)", name=op.f("ck_restores_outcome")
        ),
        sa.CheckConstraint("(status = 'failed') = (reason IS NOT NULL)", name=op.f("ck_restores_reason")),
        sa.PrimaryKeyConstraint("id", name="pk_restores"),
    )
    op.create_index("ix_restores_customer_id_id", "restores", ["customer_id", "id"])
    op.create_index("ix_restores_protection_id", "restores", ["protection_id"])


def downgrade() -> None:
    for table in ("restores", "runs", "protections", "coverages", "servers"):
        op.drop_table(table)
    kit_0001.downgrade()
