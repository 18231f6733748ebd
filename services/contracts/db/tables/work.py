"""Tables of work: what was asked for and what came of it."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant

work_requests = sa.Table(
    "work_requests",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("operation_code", sa.String(80), nullable=False),
    sa.Column("risk", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("note", sa.String(4000)),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("decided_at", Instant),
    sa.Column("decided_by", sa.String(200)),
    sa.Column("reason", sa.String(4000)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('requested', 'completed', 'refused', 'withdrawn')", name="status"),
    sa.CheckConstraint("risk BETWEEN 1 AND 3", name="risk"),
    sa.CheckConstraint("(status = 'requested') = (decided_at IS NULL)", name="decided"),
    sa.CheckConstraint("status <> 'refused' OR reason IS NOT NULL", name="reason"),
    sa.Index("ix_work_requests_contract_id_id", "contract_id", "id"),
    sa.Index("ix_work_requests_customer_id_id", "customer_id", "id"),
)
