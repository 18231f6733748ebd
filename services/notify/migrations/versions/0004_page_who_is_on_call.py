"""Keep where staff is reached, who is on call, and whom emergencies paged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, json_type

revision = "0004"
down_revision = "0003"
phase = "expand"

_STANDING = sa.text("cancelled_at IS NULL")
_UNDER_WAY = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "staff_contacts",
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("administrator", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("language IN ('en', 'zh')", name=op.f("ck_staff_contacts_language")),
        sa.PrimaryKeyConstraint("subject", name="pk_staff_contacts"),
    )
    op.create_table(
        "on_call_shifts",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("starts_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("cancelled_at", Instant()),
        sa.CheckConstraint("position BETWEEN 1 AND 9", name=op.f("ck_on_call_shifts_position")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_on_call_shifts_order")),
        sa.ForeignKeyConstraint(["subject"], ["staff_contacts.subject"], name="fk_on_call_shifts_subject"),
        sa.PrimaryKeyConstraint("id", name="pk_on_call_shifts"),
    )
    op.create_index(
        "ix_on_call_shifts_ends_at",
        "on_call_shifts",
        ["ends_at"],
        postgresql_where=_STANDING,
        sqlite_where=_STANDING,
    )
    op.create_table(
        "calls",
        sa.Column("emergency_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("agreement_version", sa.String(200), nullable=False),
        sa.Column("facts", json_type(), nullable=False),
        sa.Column("escalation", sa.Integer, nullable=False),
        sa.Column("called_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant()),
        sa.CheckConstraint("escalation >= 0", name=op.f("ck_calls_escalation")),
        sa.PrimaryKeyConstraint("emergency_id", name="pk_calls"),
    )
    op.create_index("ix_calls_under_way", "calls", ["called_at"], postgresql_where=_UNDER_WAY, sqlite_where=_UNDER_WAY)
    op.create_table(
        "pages",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("emergency_id", sa.Uuid, nullable=False),
        sa.Column("escalation", sa.Integer, nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("smtp_code", sa.Integer),
        sa.Column("reply_sha256", sa.String(64)),
        sa.Column("settled_at", Instant()),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint(
            "reason IN ('on-call', 'nobody-on-call', 'nobody-answers', 'not-delivered')",
            name=op.f("ck_pages_reason"),
        ),
        sa.CheckConstraint("status IN ('pending', 'delivered', 'failed', 'dropped')", name=op.f("ck_pages_status")),
        sa.CheckConstraint("(status = 'pending') = (settled_at IS NULL)", name=op.f("ck_pages_settled")),
        sa.CheckConstraint("status <> 'delivered' OR smtp_code BETWEEN 200 AND 299", name=op.f("ck_pages_delivered")),
        sa.ForeignKeyConstraint(["emergency_id"], ["calls.emergency_id"], name="fk_pages_emergency_id"),
        sa.PrimaryKeyConstraint("id", name="pk_pages"),
        sa.UniqueConstraint("emergency_id", "escalation", "subject", name="uq_pages_emergency_id_escalation_subject"),
    )
    op.create_index("ix_pages_emergency_id_id", "pages", ["emergency_id", "id"])


def downgrade() -> None:
    op.drop_table("pages")
    op.drop_table("calls")
    op.drop_table("on_call_shifts")
    op.drop_table("staff_contacts")
