"""Create refund requests and warranty claims; a service may end with a refund."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant
from shared.kit.revisions.checks import add_check, drop_check, replace_check

revision = "0013"
down_revision = "0012"
phase = "expand"
_WIDER = "The condition that takes its place in the same transaction allows all that it allowed, and refunded besides."
judged_safe = {
    f"ALTER TABLE contracts DROP CONSTRAINT ck_contracts_{name}": _WIDER for name in ("status", "registered", "ended")
}

WIDENED = (
    (
        "ck_contracts_status",
        "status IN ('draft', 'awaiting_payment', 'active', 'extended', 'held', 'expired', 'withdrawn')",
        "status IN ('draft', 'awaiting_payment', 'active', 'extended', 'held', 'expired', 'refunded', 'withdrawn')",
    ),
    (
        "ck_contracts_registered",
        "(status IN ('active', 'extended', 'held', 'expired')) = (current_index > 0)",
        "(status IN ('active', 'extended', 'held', 'expired', 'refunded')) = (current_index > 0)",
    ),
    (
        "ck_contracts_ended",
        "(status = 'expired') = (ended_at IS NOT NULL)",
        "(status IN ('expired', 'refunded')) = (ended_at IS NOT NULL)",
    ),
)
REFUNDED = (
    "ck_periods_refunded",
    "(refund_id IS NULL) = (refunded_at IS NULL) AND (refund_id IS NULL OR status = 'paid')",
)


def upgrade() -> None:
    for name, old, new in WIDENED:
        replace_check("contracts", name, old=old, new=new)
    op.add_column("periods", sa.Column("refund_asked_at", Instant()))
    op.add_column("periods", sa.Column("refund_id", sa.Uuid))
    op.add_column("periods", sa.Column("refunded_at", Instant()))
    add_check("periods", *REFUNDED)
    op.create_table(
        "refund_requests",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("ground", sa.String(20), nullable=False),
        sa.Column("incident_id", sa.Uuid),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("requested_by", sa.String(200), nullable=False),
        sa.Column("requested_at", Instant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("taken_back_at", Instant()),
        sa.Column("answered_at", Instant()),
        sa.Column("decline_reason", sa.String(40)),
        sa.Column("credit_note_number", sa.String(30)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint(
            "status IN ('requested', 'withdrawing', 'withdrawn', 'declined', 'released')",
            name=op.f("ck_refund_requests_status"),
        ),
        sa.CheckConstraint("ground IN ('dissatisfied', 'company-defect')", name=op.f("ck_refund_requests_ground")),
        sa.CheckConstraint(
            "(ground = 'company-defect') = (incident_id IS NOT NULL)", name=op.f("ck_refund_requests_incident")
        ),
        sa.CheckConstraint(
            "status <> 'withdrawing' OR taken_back_at IS NOT NULL", name=op.f("ck_refund_requests_taken_back")
        ),
        sa.CheckConstraint(
            "(status IN ('requested', 'withdrawing')) = (answered_at IS NULL)", name=op.f("ck_refund_requests_answered")
        ),
        sa.CheckConstraint(
            "(status IN ('withdrawn', 'declined')) = (decline_reason IS NOT NULL)",
            name=op.f("ck_refund_requests_declined"),
        ),
        sa.CheckConstraint(
            "(status = 'released') = (credit_note_number IS NOT NULL)", name=op.f("ck_refund_requests_released")
        ),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_refund_requests_contract_id"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_refund_requests_incident_id"),
        sa.PrimaryKeyConstraint("id", name="pk_refund_requests"),
    )
    in_force = sa.text("status NOT IN ('withdrawn', 'declined')")
    op.create_index(
        "uq_refund_requests_period_in_force",
        "refund_requests",
        ["contract_id", "period_index"],
        unique=True,
        postgresql_where=in_force,
        sqlite_where=in_force,
    )
    op.create_index("ix_refund_requests_contract_id_id", "refund_requests", ["contract_id", "id"])
    op.create_index("ix_refund_requests_customer_id_id", "refund_requests", ["customer_id", "id"])
    op.create_table(
        "warranty_claims",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("claimed_work_request_id", sa.Uuid, nullable=False),
        sa.Column("work_request_id", sa.Uuid, nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("claimed_by", sa.String(200), nullable=False),
        sa.Column("claimed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_warranty_claims_contract_id"),
        sa.ForeignKeyConstraint(
            ["claimed_work_request_id"], ["work_requests.id"], name="fk_warranty_claims_claimed_work_request_id"
        ),
        sa.ForeignKeyConstraint(["work_request_id"], ["work_requests.id"], name="fk_warranty_claims_work_request_id"),
        sa.UniqueConstraint("work_request_id", name="uq_warranty_claims_work_request_id"),
        sa.PrimaryKeyConstraint("id", name="pk_warranty_claims"),
    )
    op.create_index("ix_warranty_claims_contract_id_id", "warranty_claims", ["contract_id", "id"])
    op.create_index("ix_warranty_claims_customer_id_id", "warranty_claims", ["customer_id", "id"])
    op.create_index("ix_warranty_claims_claimed_work_request_id", "warranty_claims", ["claimed_work_request_id"])


def downgrade() -> None:
    op.drop_table("warranty_claims")
    op.drop_table("refund_requests")
    drop_check("periods", *REFUNDED)
    op.drop_column("periods", "refunded_at")
    op.drop_column("periods", "refund_id")
    op.drop_column("periods", "refund_asked_at")
    for name, old, new in WIDENED:
        replace_check("contracts", name, old=new, new=old)
