"""Widen work requests to their whole way, and create the tables beside them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, json_type

revision = "0005"
down_revision = "0004"
phase = "expand"
judged_safe = {
    f"ALTER TABLE work_requests DROP CONSTRAINT ck_work_requests_{name}": "made wider: what older processes write fits"
    for name in ("status", "decided", "reason")
}

STATUSES = (
    "status IN ('requested', 'assessed', 'accepted', 'refused', 'withdrawn', 'scheduled', 'in_progress', "
    "'completed', 'failed', 'signed_off')"
)
WIDENED = {
    "status": STATUSES,
    "decided": "(status IN ('requested', 'assessed')) = (decided_at IS NULL)",
    "reason": "status NOT IN ('refused', 'failed') OR reason IS NOT NULL",
}
ADDED = {
    "warranty": "(origin = 'warranty') = (warranty_of IS NOT NULL)",
    "assessed": "status <> 'assessed' OR assessment_id IS NOT NULL",
    "scheduled": (
        "status NOT IN ('scheduled', 'in_progress') OR (technician IS NOT NULL AND starts_at IS NOT NULL "
        "AND ends_at > starts_at AND place IN ('on-site', 'remote'))"
    ),
    "started": "status <> 'in_progress' OR started_at IS NOT NULL",
    "signed_off": "(status = 'signed_off') = (signed_off_at IS NOT NULL)",
}
BEFORE = {
    "status": "status IN ('requested', 'completed', 'refused', 'withdrawn')",
    "decided": "(status = 'requested') = (decided_at IS NULL)",
    "reason": "status <> 'refused' OR reason IS NOT NULL",
}


def columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("origin", sa.String(20), nullable=False, server_default="customer"),
        sa.Column("warranty_of", sa.Uuid),
        sa.Column("preferred_starts_at", Instant()),
        sa.Column("preferred_ends_at", Instant()),
        sa.Column("preferred_place", sa.String(20)),
        sa.Column("assessment_id", sa.Uuid),
        sa.Column("assessed_risk", sa.Integer),
        sa.Column("acknowledgement_id", sa.Uuid),
        sa.Column("technician", sa.String(200)),
        sa.Column("starts_at", Instant()),
        sa.Column("ends_at", Instant()),
        sa.Column("place", sa.String(20)),
        sa.Column("scheduled_at", Instant()),
        sa.Column("started_at", Instant()),
        sa.Column("steps", sa.Integer, nullable=False, server_default="0"),
        sa.Column("ended_at", Instant()),
        sa.Column("signed_off_at", Instant()),
    ]


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        with op.batch_alter_table("work_requests", recreate="always") as work_requests:
            for name in WIDENED:
                work_requests.drop_constraint(op.f(f"ck_work_requests_{name}"))
            for column in columns():
                work_requests.add_column(column)
            for name, condition in (WIDENED | ADDED).items():
                work_requests.create_check_constraint(op.f(f"ck_work_requests_{name}"), condition)
    else:
        for name in WIDENED:
            op.drop_constraint(f"ck_work_requests_{name}", "work_requests")
        for column in columns():
            op.add_column("work_requests", column)
        for name, condition in (WIDENED | ADDED).items():
            op.create_check_constraint(
                op.f(f"ck_work_requests_{name}"), "work_requests", condition, postgresql_not_valid=True
            )
    _create_tables()


def downgrade() -> None:
    for name in ("bookings", "technicians", "work_steps", "risk_acknowledgements", "risk_assessments"):
        op.drop_table(name)
    _go_back_to_the_old_states()
    with op.batch_alter_table("work_requests") as work_requests:
        for name in WIDENED | ADDED:
            work_requests.drop_constraint(op.f(f"ck_work_requests_{name}"))
        for column in columns():
            work_requests.drop_column(column.name)
        for name, condition in BEFORE.items():
            work_requests.create_check_constraint(op.f(f"ck_work_requests_{name}"), condition)


def _go_back_to_the_old_states() -> None:
    """To what comes nearest: work on its way is asked for again, and failed work was refused with its reason."""
    op.execute(
        "UPDATE work_requests SET status = 'requested', decided_at = NULL, decided_by = NULL "
        "WHERE status IN ('assessed', 'accepted', 'scheduled', 'in_progress')"
    )
    op.execute("UPDATE work_requests SET status = 'completed', signed_off_at = NULL WHERE status = 'signed_off'")
    op.execute("UPDATE work_requests SET status = 'refused' WHERE status = 'failed'")


def _create_tables() -> None:
    op.create_table(
        "risk_assessments",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("work_request_id", sa.Uuid, nullable=False),
        sa.Column("hazard", json_type(), nullable=False),
        sa.Column("backup_completed_at", Instant()),
        sa.Column("rehearsed_at", Instant()),
        sa.Column("risk", sa.Integer, nullable=False),
        sa.Column("assessed_by", sa.String(200), nullable=False),
        sa.Column("assessed_at", Instant(), nullable=False),
        sa.CheckConstraint("risk BETWEEN 1 AND 3", name=op.f("ck_risk_assessments_risk")),
        sa.ForeignKeyConstraint(["work_request_id"], ["work_requests.id"], name="fk_risk_assessments_work_request_id"),
        sa.PrimaryKeyConstraint("id", name="pk_risk_assessments"),
    )
    op.create_index("ix_risk_assessments_work_request_id_id", "risk_assessments", ["work_request_id", "id"])
    op.create_table(
        "risk_acknowledgements",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("work_request_id", sa.Uuid, nullable=False),
        sa.Column("assessment_id", sa.Uuid, nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("text_sha256", sa.String(64), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("acknowledged_by", sa.String(200), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("acknowledged_at", Instant(), nullable=False),
        sa.CheckConstraint("language IN ('en', 'zh')", name=op.f("ck_risk_acknowledgements_language")),
        sa.ForeignKeyConstraint(
            ["work_request_id"], ["work_requests.id"], name="fk_risk_acknowledgements_work_request_id"
        ),
        sa.ForeignKeyConstraint(
            ["assessment_id"], ["risk_assessments.id"], name="fk_risk_acknowledgements_assessment_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_risk_acknowledgements"),
    )
    op.create_index("ix_risk_acknowledgements_work_request_id_id", "risk_acknowledgements", ["work_request_id", "id"])
    op.create_table(
        "work_steps",
        sa.Column("work_request_id", sa.Uuid, nullable=False),
        sa.Column("step_index", sa.Integer, nullable=False),
        sa.Column("text", sa.String(4000), nullable=False),
        sa.Column("written_by", sa.String(200), nullable=False),
        sa.Column("written_at", Instant(), nullable=False),
        sa.CheckConstraint("step_index BETWEEN 1 AND 1000", name=op.f("ck_work_steps_step_index")),
        sa.ForeignKeyConstraint(["work_request_id"], ["work_requests.id"], name="fk_work_steps_work_request_id"),
        sa.PrimaryKeyConstraint("work_request_id", "step_index", name="pk_work_steps"),
    )
    op.create_table(
        "technicians",
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("feed_sha256", sa.String(64)),
        sa.Column("feed_made_at", Instant()),
        sa.CheckConstraint("(feed_sha256 IS NULL) = (feed_made_at IS NULL)", name=op.f("ck_technicians_feed")),
        sa.PrimaryKeyConstraint("subject", name="pk_technicians"),
    )
    op.create_index("ix_technicians_feed_sha256", "technicians", ["feed_sha256"], unique=True)
    op.create_table(
        "bookings",
        sa.Column("work_request_id", sa.Uuid, nullable=False),
        sa.Column("technician", sa.String(200), nullable=False),
        sa.Column("starts_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("place", sa.String(20), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_bookings_window")),
        sa.CheckConstraint("NOT (live AND cancelled)", name=op.f("ck_bookings_live_or_cancelled")),
        sa.ForeignKeyConstraint(["work_request_id"], ["work_requests.id"], name="fk_bookings_work_request_id"),
        sa.ForeignKeyConstraint(["technician"], ["technicians.subject"], name="fk_bookings_technician"),
        sa.PrimaryKeyConstraint("work_request_id", "technician", name="pk_bookings"),
    )
    op.create_index(
        "ix_bookings_live_work_request_id",
        "bookings",
        ["work_request_id"],
        unique=True,
        postgresql_where=sa.text("live"),
        sqlite_where=sa.text("live"),
    )
    op.create_index("ix_bookings_technician_ends_at", "bookings", ["technician", "ends_at"])
