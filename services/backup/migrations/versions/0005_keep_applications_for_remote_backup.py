"""Keep applications for remote backup, and where a protection's backups are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant
from shared.kit.revisions.checks import add_check, drop_check

revision = "0005"
down_revision = "0004"
phase = "expand"

STANDING = sa.text("status IN ('applied', 'approved')")
ADDED = (
    ("coverages", "ck_coverages_remote_every", "remote_every_hours > 0"),
    ("protections", "ck_protections_place", "place IN ('local', 'remote')"),
)


def upgrade() -> None:
    op.add_column("coverages", sa.Column("remote_every_hours", sa.Integer))
    op.add_column("protections", sa.Column("place", sa.String(10), nullable=False, server_default="local"))
    for table, name, condition in ADDED:
        add_check(table, name, condition)
    op.create_table(
        "remote_applications",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("agreement_version", sa.String(200), nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("applied_by", sa.String(200), nullable=False),
        sa.Column("applied_at", Instant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(40)),
        sa.Column("decided_by", sa.String(200)),
        sa.Column("decided_at", Instant()),
        sa.Column("ended_at", Instant()),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint(
            "status IN ('applied', 'approved', 'declined', 'withdrawn', 'ended')",
            name=op.f("ck_remote_applications_status"),
        ),
        sa.CheckConstraint("(status = 'declined') = (reason IS NOT NULL)", name=op.f("ck_remote_applications_reason")),
        sa.CheckConstraint(
            "(decided_at IS NULL) = (decided_by IS NULL)", name=op.f("ck_remote_applications_decided_by")
        ),
        sa.CheckConstraint(
            "(status IN ('approved', 'declined', 'ended')) = (decided_at IS NOT NULL)",
            name=op.f("ck_remote_applications_decided"),
        ),
        sa.CheckConstraint(
            "(status IN ('withdrawn', 'ended')) = (ended_at IS NOT NULL)", name=op.f("ck_remote_applications_ended")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_remote_applications"),
    )
    op.create_index(
        "uq_remote_applications_standing",
        "remote_applications",
        ["contract_id", "server_id"],
        unique=True,
        postgresql_where=STANDING,
        sqlite_where=STANDING,
    )
    op.create_index("ix_remote_applications_customer_id_id", "remote_applications", ["customer_id", "id"])


def downgrade() -> None:
    op.drop_table("remote_applications")
    for table, name, condition in reversed(ADDED):
        drop_check(table, name, condition)
    op.drop_column("protections", "place")
    op.drop_column("coverages", "remote_every_hours")
