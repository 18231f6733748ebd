"""The table of extensions: what was explained, and the company's answer."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant

extensions = sa.Table(
    "extensions",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("period_ends_at", Instant, nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(4000), nullable=False),
    sa.Column("wished_until_on", sa.Date),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("decided_by", sa.String(200)),
    sa.Column("decided_at", Instant),
    sa.Column("until_on", sa.Date),
    sa.Column("extended_until", Instant),
    sa.Column("refusal_reason", sa.String(4000)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('requested', 'approved', 'refused')", name="status"),
    sa.CheckConstraint("requested_at < period_ends_at", name="explained_in_time"),
    sa.CheckConstraint("(status = 'requested') = (decided_at IS NULL)", name="decided"),
    sa.CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name="decided_by"),
    sa.CheckConstraint("decided_by <> requested_by", name="four_eyes"),
    sa.CheckConstraint(
        "(status = 'approved') = (until_on IS NOT NULL) AND (status = 'approved') = (extended_until IS NOT NULL)",
        name="granted",
    ),
    sa.CheckConstraint("extended_until > period_ends_at", name="after_the_end"),
    sa.CheckConstraint("(status = 'refused') = (refusal_reason IS NOT NULL)", name="refused"),
    # A period's circumstances are explained once, unless the company refused.
    sa.Index(
        "uq_extensions_period",
        "contract_id",
        "period_index",
        unique=True,
        postgresql_where=sa.text("status <> 'refused'"),
        sqlite_where=sa.text("status <> 'refused'"),
    ),
    sa.Index("ix_extensions_contract_id_id", "contract_id", "id"),
    sa.Index("ix_extensions_customer_id_id", "customer_id", "id"),
    sa.Index(
        "ix_extensions_requested",
        "id",
        postgresql_where=sa.text("status = 'requested'"),
        sqlite_where=sa.text("status = 'requested'"),
    ),
)
