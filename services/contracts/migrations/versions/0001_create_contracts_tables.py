"""Create the tables of contracts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant
from shared.kit.revisions import kit_0001

revision = "0001"
down_revision = None
phase = "expand"


def upgrade() -> None:
    kit_0001.upgrade()
    op.create_table(
        "customers",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("registered_at", Instant(), nullable=False),
        sa.CheckConstraint("language IN ('en', 'zh')", name=op.f("ck_customers_language")),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
    )
    op.create_table(
        "servers",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("operating_system", sa.String(200), nullable=False),
        sa.Column("registered_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_servers_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
    )
    op.create_index("ix_servers_customer_id_id", "servers", ["customer_id", "id"])
    op.create_table(
        "contracts",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
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
        sa.Column("drafted_at", Instant(), nullable=False),
        sa.Column("accepted_at", Instant()),
        sa.Column("withdrawn_at", Instant()),
        sa.Column("ended_at", Instant()),
        sa.Column("end_reason", sa.String(40)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_contracts_customer_id"),
        sa.CheckConstraint(
            "status IN ('draft', 'awaiting_payment', 'active', 'held', 'expired', 'withdrawn')",
            name=op.f("ck_contracts_status"),
        ),
        sa.CheckConstraint("fee_minor > 0", name=op.f("ck_contracts_fee")),
        sa.CheckConstraint("term_months BETWEEN 1 AND 120", name=op.f("ck_contracts_term")),
        sa.CheckConstraint(
            "(status IN ('active', 'held', 'expired')) = (current_index > 0)", name=op.f("ck_contracts_registered")
        ),
        sa.CheckConstraint("(status = 'expired') = (ended_at IS NOT NULL)", name=op.f("ck_contracts_ended")),
        sa.CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name=op.f("ck_contracts_end_reason")),
        sa.CheckConstraint("(status = 'withdrawn') = (withdrawn_at IS NOT NULL)", name=op.f("ck_contracts_withdrawn")),
        sa.CheckConstraint(
            "status IN ('draft', 'withdrawn') OR acceptance_id IS NOT NULL", name=op.f("ck_contracts_accepted")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_contracts"),
    )
    op.create_index("ix_contracts_customer_id_id", "contracts", ["customer_id", "id"])
    op.create_table(
        "contract_servers",
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_contract_servers_contract_id"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_contract_servers_server_id"),
        sa.PrimaryKeyConstraint("contract_id", "server_id", name="pk_contract_servers"),
    )
    op.create_index(
        "ix_contract_servers_live_server_id",
        "contract_servers",
        ["server_id"],
        unique=True,
        postgresql_where=sa.text("live"),
        sqlite_where=sa.text("live"),
    )
    op.create_table(
        "accepted_texts",
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("text_sha256", sa.String(64), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("first_accepted_at", Instant(), nullable=False),
        sa.CheckConstraint("language IN ('en', 'zh')", name=op.f("ck_accepted_texts_language")),
        sa.UniqueConstraint(
            "agreement_version",
            "language",
            "text_sha256",
            name="uq_accepted_texts_agreement_version_language_text_sha256",
        ),
        sa.PrimaryKeyConstraint("agreement_version", "language", name="pk_accepted_texts"),
    )
    op.create_table(
        "acceptances",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("text_sha256", sa.String(64), nullable=False),
        sa.Column("accepted_by", sa.String(200), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("accepted_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_acceptances_contract_id"),
        sa.CheckConstraint("language IN ('en', 'zh')", name=op.f("ck_acceptances_language")),
        sa.ForeignKeyConstraint(
            ["agreement_version", "language", "text_sha256"],
            ["accepted_texts.agreement_version", "accepted_texts.language", "accepted_texts.text_sha256"],
            name="fk_acceptances_agreement_version_language_text_sha256",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_acceptances"),
    )
    op.create_index("ix_acceptances_contract_id", "acceptances", ["contract_id"])
    op.create_table(
        "periods",
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("starts_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("window_opens_at", Instant(), nullable=False),
        sa.Column("months", sa.Integer, nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("anchor_day", sa.Integer, nullable=False),
        sa.Column("anchor_time", sa.Time, nullable=False),
        sa.Column("start_month", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("acceptance_id", sa.Uuid, nullable=False),
        sa.Column("plan_code", sa.String(80), nullable=False),
        sa.Column("plan_version", sa.Integer, nullable=False),
        sa.Column("fee_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        sa.Column("payment_id", sa.Uuid),
        sa.Column("expiring_told_at", Instant()),
        sa.Column("choice", sa.String(10)),
        sa.Column("chosen_at", Instant()),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_periods_contract_id"),
        sa.ForeignKeyConstraint(["acceptance_id"], ["acceptances.id"], name="fk_periods_acceptance_id"),
        sa.CheckConstraint("status IN ('planned', 'awaiting_payment', 'paid')", name=op.f("ck_periods_status")),
        sa.CheckConstraint("(status = 'paid') = (payment_id IS NOT NULL)", name=op.f("ck_periods_paid")),
        sa.CheckConstraint("period_index > 0", name=op.f("ck_periods_index")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_periods_half_open")),
        sa.CheckConstraint("window_opens_at < ends_at", name=op.f("ck_periods_window")),
        sa.CheckConstraint("anchor_day BETWEEN 1 AND 31", name=op.f("ck_periods_anchor_day")),
        sa.CheckConstraint("choice IN ('renew', 'stop')", name=op.f("ck_periods_choice")),
        sa.CheckConstraint("(choice IS NULL) = (chosen_at IS NULL)", name=op.f("ck_periods_chosen")),
        sa.UniqueConstraint("payment_id", name="uq_periods_payment_id"),
        sa.PrimaryKeyConstraint("contract_id", "period_index", name="pk_periods"),
    )
    opened = sa.text("expiring_told_at IS NOT NULL")
    op.create_index("ix_periods_window_opened", "periods", ["ends_at"], postgresql_where=opened, sqlite_where=opened)
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("reported_at", Instant(), nullable=False),
        sa.Column("verdict", sa.String(10)),
        sa.Column("covers", sa.Boolean, nullable=False),
        sa.Column("audited_at", Instant()),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_payments_contract_id"),
        sa.CheckConstraint("verdict IN ('approved', 'rejected')", name=op.f("ck_payments_verdict")),
        sa.CheckConstraint("(verdict IS NULL) = (audited_at IS NULL)", name=op.f("ck_payments_audited")),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
    )
    op.create_index("ix_payments_contract_id_period_index", "payments", ["contract_id", "period_index"])
    op.create_table(
        "work_requests",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("operation_code", sa.String(80), nullable=False),
        sa.Column("risk", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("note", sa.String(4000)),
        sa.Column("requested_at", Instant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("decided_at", Instant()),
        sa.Column("decided_by", sa.String(200)),
        sa.Column("reason", sa.String(4000)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_work_requests_contract_id"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_work_requests_server_id"),
        sa.CheckConstraint(
            "status IN ('requested', 'completed', 'refused', 'withdrawn')", name=op.f("ck_work_requests_status")
        ),
        sa.CheckConstraint("risk BETWEEN 1 AND 3", name=op.f("ck_work_requests_risk")),
        sa.CheckConstraint("(status = 'requested') = (decided_at IS NULL)", name=op.f("ck_work_requests_decided")),
        sa.CheckConstraint("status <> 'refused' OR reason IS NOT NULL", name=op.f("ck_work_requests_reason")),
        sa.PrimaryKeyConstraint("id", name="pk_work_requests"),
    )
    op.create_index("ix_work_requests_contract_id_id", "work_requests", ["contract_id", "id"])
    op.create_index("ix_work_requests_customer_id_id", "work_requests", ["customer_id", "id"])


def downgrade() -> None:
    op.drop_table("work_requests")
    op.drop_table("payments")
    op.drop_table("periods")
    op.drop_table("acceptances")
    op.drop_table("accepted_texts")
    op.drop_table("contract_servers")
    op.drop_table("contracts")
    op.drop_table("servers")
    op.drop_table("customers")
    kit_0001.downgrade()
