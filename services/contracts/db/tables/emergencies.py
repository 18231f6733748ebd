"""The table of emergencies."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant

_OPEN = sa.text("status = 'open'")
_UNDER_WAY = sa.text("status IN ('open', 'acknowledged')")

emergencies = sa.Table(
    "emergencies",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("seen", sa.String(4000), nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("reported_at", Instant, nullable=False),
    sa.Column("reported_by", sa.String(200), nullable=False),
    sa.Column("acknowledge_by", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("escalations", sa.Integer, nullable=False),
    sa.Column("escalated_at", Instant),
    sa.Column("acknowledged_at", Instant),
    sa.Column("acknowledged_by", sa.String(200)),
    sa.Column("outcome", sa.String(20)),
    sa.Column("log", sa.String(4000)),
    sa.Column("work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id")),
    sa.Column("ended_at", Instant),
    sa.Column("ended_by", sa.String(200)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('open', 'acknowledged', 'resolved', 'withdrawn')", name="status"),
    sa.CheckConstraint("escalations >= 0 AND (escalations = 0) = (escalated_at IS NULL)", name="escalated"),
    sa.CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged_by"),
    sa.CheckConstraint("status <> 'open' OR acknowledged_at IS NULL", name="open"),
    sa.CheckConstraint(
        "status NOT IN ('acknowledged', 'resolved') OR acknowledged_at IS NOT NULL", name="acknowledged"
    ),
    sa.CheckConstraint("(status = 'resolved') = (outcome IS NOT NULL AND log IS NOT NULL)", name="resolved"),
    sa.CheckConstraint("outcome IN ('restored', 'work-requested', 'not-ours', 'false-alarm')", name="outcome"),
    sa.CheckConstraint(
        "(COALESCE(outcome, '') = 'work-requested') = (work_request_id IS NOT NULL)", name="work_request_id"
    ),
    sa.CheckConstraint("(status IN ('resolved', 'withdrawn')) = (ended_at IS NOT NULL)", name="ended"),
    sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended_by"),
    sa.Index("ix_emergencies_contract_id_id", "contract_id", "id"),
    sa.Index("ix_emergencies_customer_id_id", "customer_id", "id"),
    # One of a server at a time.
    sa.Index(
        "uq_emergencies_under_way", "server_id", unique=True, postgresql_where=_UNDER_WAY, sqlite_where=_UNDER_WAY
    ),
    sa.Index("ix_emergencies_open", "acknowledge_by", postgresql_where=_OPEN, sqlite_where=_OPEN),
)
