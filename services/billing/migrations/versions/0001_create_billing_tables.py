"""Create the tables of billing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, json_type
from shared.kit.revisions import kit_0001

revision = "0001"
down_revision = None
phase = "expand"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kit_0001.upgrade()
    op.create_table(
        "accounts",
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name="pk_accounts"),
    )
    op.create_table(
        "billing_profiles",
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("legal_name", sa.String(200), nullable=False),
        sa.Column("address", json_type(), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("tax_id", sa.String(40)),
        sa.Column("tax_id_checked", sa.Boolean, nullable=False),
        sa.Column("exemption_certificate", sa.String(200)),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name="pk_billing_profiles"),
        sa.CheckConstraint("tax_id IS NOT NULL OR NOT tax_id_checked", name=op.f("ck_billing_profiles_checked_tax_id")),
    )
    op.create_table(
        "contract_endings",
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("last_period_index", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("ended_at", Instant(), nullable=False),
        sa.Column("may_be_held", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("contract_id", name="pk_contract_endings"),
    )
    op.create_table(
        "invoices",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("plan_code", sa.String(200), nullable=False),
        sa.Column("term_months", sa.Integer, nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("period_starts_at", Instant()),
        sa.Column("period_ends_at", Instant()),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger, nullable=False),
        sa.Column("mailing_minor", sa.BigInteger, nullable=False),
        sa.Column("tax_minor", sa.BigInteger),
        sa.Column("total_minor", sa.BigInteger),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("series", sa.String(10)),
        sa.Column("year", sa.Integer),
        sa.Column("sequence", sa.Integer),
        sa.Column("issued_on", sa.Date),
        sa.Column("issued_at", Instant()),
        sa.Column("seller", json_type()),
        sa.Column("buyer", json_type()),
        sa.Column("tax_name", sa.String(80)),
        sa.Column("rounding", sa.String(20)),
        sa.Column("notes", json_type()),
        sa.Column("tax_proof", json_type()),
        sa.Column("settled_at", Instant()),
        sa.Column("voided_at", Instant()),
        sa.Column("void_reason", sa.String(40)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invoices"),
        sa.CheckConstraint("fee_minor > 0 AND mailing_minor >= 0 AND tax_minor >= 0", name=op.f("ck_invoices_amounts")),
        sa.CheckConstraint(
            "(sequence IS NULL) = (series IS NULL) AND (sequence IS NULL) = (year IS NULL)"
            " AND (sequence IS NULL) = (issued_at IS NULL) AND (sequence IS NULL) = (issued_on IS NULL)"
            " AND (sequence IS NULL) = (tax_minor IS NULL) AND (sequence IS NULL) = (total_minor IS NULL)",
            name=op.f("ck_invoices_issued_whole"),
        ),
        sa.CheckConstraint(
            "status = 'void' OR (status = 'draft') = (sequence IS NULL)", name=op.f("ck_invoices_numbered_when_issued")
        ),
        sa.CheckConstraint("(status = 'paid') = (settled_at IS NOT NULL)", name=op.f("ck_invoices_settled_when_paid")),
        sa.CheckConstraint("status IN ('draft', 'issued', 'paid', 'void')", name=op.f("ck_invoices_status")),
        sa.CheckConstraint(
            "total_minor = fee_minor + mailing_minor + tax_minor", name=op.f("ck_invoices_total_is_sum_of_lines")
        ),
        sa.CheckConstraint(
            "(status = 'void') = (voided_at IS NOT NULL) AND (status = 'void') = (void_reason IS NOT NULL)",
            name=op.f("ck_invoices_voided_with_reason"),
        ),
        sa.UniqueConstraint(
            "contract_id", "period_index", "asked_at", name="uq_invoices_contract_id_period_index_asked_at"
        ),
        sa.UniqueConstraint("series", "year", "sequence", name="uq_invoices_series_year_sequence"),
    )
    op.create_index("ix_invoices_customer_id_id", "invoices", ["customer_id", "id"])
    op.create_index(
        "ix_invoices_waiting_for_profile",
        "invoices",
        ["customer_id"],
        postgresql_where=sa.text("status = 'draft'"),
        sqlite_where=sa.text("status = 'draft'"),
    )
    op.create_index(
        "uq_invoices_period_in_force",
        "invoices",
        ["contract_id", "period_index"],
        unique=True,
        postgresql_where=sa.text("status <> 'void'"),
        sqlite_where=sa.text("status <> 'void'"),
    )
    op.create_table(
        "number_series",
        sa.Column("series", sa.String(10), nullable=False),
        sa.Column("year", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("series", "year", name="pk_number_series"),
        sa.CheckConstraint("last >= 0", name=op.f("ck_number_series_counts_up")),
    )
    op.create_table(
        "invoice_lines",
        sa.Column("invoice_id", sa.Uuid, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("description", sa.String(400), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("base_minor", sa.BigInteger),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("category", sa.String(2), nullable=False),
        sa.Column("rate_percent", sa.String(12), nullable=False),
        sa.PrimaryKeyConstraint("invoice_id", "position", name="pk_invoice_lines"),
        sa.CheckConstraint("category IN ('S', 'AE', 'E', 'G', 'O')", name=op.f("ck_invoice_lines_category")),
        sa.CheckConstraint("kind IN ('fee', 'mailing', 'tax')", name=op.f("ck_invoice_lines_kind")),
        sa.CheckConstraint("(kind = 'tax') = (base_minor IS NOT NULL)", name=op.f("ck_invoice_lines_tax_has_base")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_invoice_lines_invoice_id"),
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("invoice_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("bank_reference", sa.String(200)),
        sa.Column("bank_reference_key", sa.String(400)),
        sa.Column("paid_on", sa.Date),
        sa.Column("channel", sa.String(40), nullable=False),
        sa.Column("evidence_name", sa.String(200)),
        sa.Column("evidence_type", sa.String(40)),
        sa.Column("evidence_size_bytes", sa.Integer),
        sa.Column("evidence_sha256", sa.String(64)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.Column("reported_at", Instant(), nullable=False),
        sa.Column("audited_by", sa.String(200)),
        sa.Column("audited_at", Instant()),
        sa.Column("rejection_reason", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payments_amount")),
        sa.CheckConstraint(
            "(status = 'reported') = (audited_by IS NULL) AND (status = 'reported') = (audited_at IS NULL)",
            name=op.f("ck_payments_audited"),
        ),
        sa.CheckConstraint(
            "evidence_sha256 IS NOT NULL OR bank_reference_key IS NOT NULL", name=op.f("ck_payments_evidence")
        ),
        sa.CheckConstraint(
            "(evidence_sha256 IS NULL) = (evidence_name IS NULL)"
            " AND (evidence_sha256 IS NULL) = (evidence_type IS NULL)"
            " AND (evidence_sha256 IS NULL) = (evidence_size_bytes IS NULL)",
            name=op.f("ck_payments_evidence_whole"),
        ),
        sa.CheckConstraint("audited_by <> recorded_by", name=op.f("ck_payments_four_eyes")),
        sa.CheckConstraint(
            "(status = 'rejected') = (rejection_reason IS NOT NULL)", name=op.f("ck_payments_rejected_with_reason")
        ),
        sa.CheckConstraint("status IN ('reported', 'approved', 'rejected')", name=op.f("ck_payments_status")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_payments_invoice_id"),
    )
    op.create_index("ix_payments_customer_id_id", "payments", ["customer_id", "id"])
    op.create_index(
        "ix_payments_in_audit",
        "payments",
        ["id"],
        postgresql_where=sa.text("status = 'reported'"),
        sqlite_where=sa.text("status = 'reported'"),
    )
    op.create_index("ix_payments_invoice_id", "payments", ["invoice_id"])
    op.create_index(
        "uq_payments_bank_reference_key",
        "payments",
        ["bank_reference_key"],
        unique=True,
        postgresql_where=sa.text("status <> 'rejected'"),
        sqlite_where=sa.text("status <> 'rejected'"),
    )
    op.create_table(
        "credit_entries",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("payment_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credit_entries"),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_credit_entries_amount")),
        sa.CheckConstraint("kind IN ('overpayment', 'not-served')", name=op.f("ck_credit_entries_kind")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name="fk_credit_entries_payment_id"),
        sa.UniqueConstraint("payment_id", "kind", name="uq_credit_entries_payment_id_kind"),
    )
    op.create_index("ix_credit_entries_customer_id_id", "credit_entries", ["customer_id", "id"])


def downgrade() -> None:
    op.drop_table("credit_entries")
    op.drop_table("payments")
    op.drop_table("invoice_lines")
    op.drop_table("number_series")
    op.drop_table("invoices")
    op.drop_table("contract_endings")
    op.drop_table("billing_profiles")
    op.drop_table("accounts")
    kit_0001.downgrade()
