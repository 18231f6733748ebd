"""Tables of what the customer asks for when it is dissatisfied: refunds and the warranty."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant

_IN_FORCE = sa.text("status NOT IN ('withdrawn', 'declined')")

refund_requests = sa.Table(
    "refund_requests",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("ground", sa.String(20), nullable=False),
    sa.Column("incident_id", sa.Uuid, sa.ForeignKey("incidents.id")),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("taken_back_at", Instant),
    sa.Column("answered_at", Instant),
    sa.Column("decline_reason", sa.String(40)),
    sa.Column("credit_note_number", sa.String(30)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('requested', 'withdrawing', 'withdrawn', 'declined', 'released')", name="status"),
    sa.CheckConstraint("ground IN ('dissatisfied', 'company-defect')", name="ground"),
    sa.CheckConstraint("(ground = 'company-defect') = (incident_id IS NOT NULL)", name="incident"),
    sa.CheckConstraint("status <> 'withdrawing' OR taken_back_at IS NOT NULL", name="taken_back"),
    sa.CheckConstraint("(status IN ('requested', 'withdrawing')) = (answered_at IS NULL)", name="answered"),
    sa.CheckConstraint("(status IN ('withdrawn', 'declined')) = (decline_reason IS NOT NULL)", name="declined"),
    sa.CheckConstraint("(status = 'released') = (credit_note_number IS NOT NULL)", name="released"),
    # The payment of a period is asked back once.
    sa.Index(
        "uq_refund_requests_period_in_force",
        "contract_id",
        "period_index",
        unique=True,
        postgresql_where=_IN_FORCE,
        sqlite_where=_IN_FORCE,
    ),
    sa.Index("ix_refund_requests_contract_id_id", "contract_id", "id"),
    sa.Index("ix_refund_requests_customer_id_id", "customer_id", "id"),
)

warranty_claims = sa.Table(
    "warranty_claims",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("claimed_work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id"), nullable=False),
    sa.Column("work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id"), nullable=False, unique=True),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("claimed_by", sa.String(200), nullable=False),
    sa.Column("claimed_at", Instant, nullable=False),
    sa.Index("ix_warranty_claims_contract_id_id", "contract_id", "id"),
    sa.Index("ix_warranty_claims_customer_id_id", "customer_id", "id"),
    sa.Index("ix_warranty_claims_claimed_work_request_id", "claimed_work_request_id"),
)
