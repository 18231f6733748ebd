"""Tables of customers, their servers, what they accepted, and contracts with their periods and payments."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import LANGUAGES, metadata
from shared.kit.db import Instant

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("registered_at", Instant, nullable=False),
    sa.CheckConstraint(LANGUAGES, name="language"),
)

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, sa.ForeignKey("customers.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("operating_system", sa.String(200), nullable=False),
    sa.Column("registered_at", Instant, nullable=False),
    sa.Index("ix_servers_customer_id_id", "customer_id", "id"),
)

contracts = sa.Table(
    "contracts",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, sa.ForeignKey("customers.id"), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("plan_code", sa.String(80), nullable=False),
    sa.Column("plan_version", sa.Integer, nullable=False),
    sa.Column("term_months", sa.Integer, nullable=False),
    sa.Column("fee_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.CHAR(3), nullable=False),
    sa.Column("paper_bill", sa.Boolean, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("acceptance_id", sa.Uuid),
    sa.Column("current_index", sa.Integer, nullable=False),
    sa.Column("drafted_at", Instant, nullable=False),
    sa.Column("accepted_at", Instant),
    sa.Column("withdrawn_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("end_reason", sa.String(40)),
    sa.Column("disclosure_open_since", Instant),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint(
        "status IN ('draft', 'awaiting_payment', 'active', 'extended', 'held', 'expired', 'refunded', 'withdrawn')",
        name="status",
    ),
    sa.CheckConstraint("fee_minor > 0", name="fee"),
    sa.CheckConstraint("term_months BETWEEN 1 AND 120", name="term"),
    sa.CheckConstraint(
        "(status IN ('active', 'extended', 'held', 'expired', 'refunded')) = (current_index > 0)", name="registered"
    ),
    sa.CheckConstraint("(status IN ('expired', 'refunded')) = (ended_at IS NOT NULL)", name="ended"),
    sa.CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="end_reason"),
    sa.CheckConstraint("(status = 'withdrawn') = (withdrawn_at IS NOT NULL)", name="withdrawn"),
    sa.CheckConstraint("status IN ('draft', 'withdrawn') OR acceptance_id IS NOT NULL", name="accepted"),
    sa.Index("ix_contracts_customer_id_id", "customer_id", "id"),
)

contract_servers = sa.Table(
    "contract_servers",
    metadata,
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), primary_key=True),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    # A server is in one live contract at a time.
    sa.Index(
        "ix_contract_servers_live_server_id",
        "server_id",
        unique=True,
        postgresql_where=sa.text("live"),
        sqlite_where=sa.text("live"),
    ),
)

acceptances = sa.Table(
    "acceptances",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("text_sha256", sa.String(64), nullable=False),
    sa.Column("accepted_by", sa.String(200), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("accepted_at", Instant, nullable=False),
    sa.CheckConstraint(LANGUAGES, name="language"),
    sa.ForeignKeyConstraint(
        ["agreement_version", "language", "text_sha256"],
        ["accepted_texts.agreement_version", "accepted_texts.language", "accepted_texts.text_sha256"],
    ),
    sa.Index("ix_acceptances_contract_id", "contract_id"),
)

accepted_texts = sa.Table(
    "accepted_texts",
    metadata,
    sa.Column("agreement_version", sa.String(40), primary_key=True),
    sa.Column("language", sa.String(2), primary_key=True),
    sa.Column("text_sha256", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("first_accepted_at", Instant, nullable=False),
    sa.CheckConstraint(LANGUAGES, name="language"),
    sa.UniqueConstraint("agreement_version", "language", "text_sha256"),
)

periods = sa.Table(
    "periods",
    metadata,
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), primary_key=True),
    sa.Column("period_index", sa.Integer, primary_key=True),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("window_opens_at", Instant, nullable=False),
    sa.Column("months", sa.Integer, nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("anchor_day", sa.Integer, nullable=False),
    sa.Column("anchor_time", sa.Time, nullable=False),
    sa.Column("start_month", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("acceptance_id", sa.Uuid, sa.ForeignKey("acceptances.id"), nullable=False),
    sa.Column("plan_code", sa.String(80), nullable=False),
    sa.Column("plan_version", sa.Integer, nullable=False),
    sa.Column("fee_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.CHAR(3), nullable=False),
    sa.Column("payment_id", sa.Uuid),
    sa.Column("expiring_told_at", Instant),
    sa.Column("choice", sa.String(10)),
    sa.Column("chosen_at", Instant),
    sa.Column("explained_at", Instant),
    sa.Column("extended_until", Instant),
    sa.Column("previous_index", sa.Integer),
    sa.Column("refund_asked_at", Instant),
    sa.Column("refund_id", sa.Uuid),
    sa.Column("refunded_at", Instant),
    sa.CheckConstraint("status IN ('planned', 'awaiting_payment', 'paid')", name="status"),
    sa.CheckConstraint("(status = 'paid') = (payment_id IS NOT NULL)", name="paid"),
    sa.CheckConstraint("period_index > 0", name="index"),
    sa.CheckConstraint("starts_at < ends_at", name="half_open"),
    sa.CheckConstraint("window_opens_at < ends_at", name="window"),
    sa.CheckConstraint("anchor_day BETWEEN 1 AND 31", name="anchor_day"),
    sa.CheckConstraint("choice IN ('renew', 'stop')", name="choice"),
    sa.CheckConstraint("(choice IS NULL) = (chosen_at IS NULL)", name="chosen"),
    sa.CheckConstraint("explained_at < ends_at", name="explained_in_time"),
    sa.CheckConstraint(
        "extended_until IS NULL OR extended_until > ends_at AND explained_at IS NOT NULL", name="extended"
    ),
    sa.CheckConstraint(
        "(refund_id IS NULL) = (refunded_at IS NULL) AND (refund_id IS NULL OR status = 'paid')", name="refunded"
    ),
    sa.CheckConstraint("previous_index = period_index - 1", name="previous"),
    # A period begins where the one before ends, so that none overlap.
    sa.ForeignKeyConstraint(
        ["contract_id", "previous_index", "starts_at"],
        ["periods.contract_id", "periods.period_index", "periods.ends_at"],
        name="fk_periods_previous",
    ),
    sa.UniqueConstraint("payment_id"),
    sa.Index("uq_periods_end", "contract_id", "period_index", "ends_at", unique=True),
    sa.Index(
        "ix_periods_window_opened",
        "ends_at",
        postgresql_where=sa.text("expiring_told_at IS NOT NULL"),
        sqlite_where=sa.text("expiring_told_at IS NOT NULL"),
    ),
)

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("reported_at", Instant, nullable=False),
    sa.Column("verdict", sa.String(10)),
    sa.Column("covers", sa.Boolean, nullable=False),
    sa.Column("audited_at", Instant),
    sa.CheckConstraint("verdict IN ('approved', 'rejected')", name="verdict"),
    sa.CheckConstraint("(verdict IS NULL) = (audited_at IS NULL)", name="audited"),
    sa.Index("ix_payments_contract_id_period_index", "contract_id", "period_index"),
)
