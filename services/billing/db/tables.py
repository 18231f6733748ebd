"""The tables of billing; their constraints say what must be true of money whoever writes it."""

from __future__ import annotations

import sqlalchemy as sa

from shared.kit.db import Instant, json_type
from shared.kit.tables import NAMING

metadata = sa.MetaData(naming_convention=NAMING)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("customer_id", sa.Uuid, primary_key=True),
)
"""One row per customer, locked where a profile and the invoices that wait for it could miss each other."""

billing_profiles = sa.Table(
    "billing_profiles",
    metadata,
    sa.Column("customer_id", sa.Uuid, primary_key=True),
    sa.Column("legal_name", sa.String(200), nullable=False),
    sa.Column("address", json_type(), nullable=False),
    sa.Column("country", sa.String(2), nullable=False),
    sa.Column("tax_id", sa.String(40)),
    sa.Column("tax_id_checked", sa.Boolean, nullable=False),
    sa.Column("exemption_certificate", sa.String(200)),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("tax_id IS NOT NULL OR NOT tax_id_checked", name="checked_tax_id"),
)

contract_endings = sa.Table(
    "contract_endings",
    metadata,
    sa.Column("contract_id", sa.Uuid, primary_key=True),
    sa.Column("last_period_index", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(40), nullable=False),
    sa.Column("ended_at", Instant, nullable=False),
    sa.Column("may_be_held", sa.Boolean, nullable=False),
)

number_series = sa.Table(
    "number_series",
    metadata,
    sa.Column("series", sa.String(10), primary_key=True),
    sa.Column("year", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("last", sa.Integer, nullable=False),
    sa.CheckConstraint("last >= 0", name="counts_up"),
)

invoices = sa.Table(
    "invoices",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("contract_id", sa.Uuid, nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("plan_code", sa.String(200), nullable=False),
    sa.Column("term_months", sa.Integer, nullable=False),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("period_starts_at", Instant),
    sa.Column("period_ends_at", Instant),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("fee_minor", sa.BigInteger, nullable=False),
    sa.Column("mailing_minor", sa.BigInteger, nullable=False),
    sa.Column("tax_minor", sa.BigInteger),
    sa.Column("total_minor", sa.BigInteger),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("series", sa.String(10)),
    sa.Column("year", sa.Integer),
    sa.Column("sequence", sa.Integer),
    sa.Column("issued_on", sa.Date),
    sa.Column("issued_at", Instant),
    sa.Column("seller", json_type()),
    sa.Column("buyer", json_type()),
    sa.Column("tax_name", sa.String(80)),
    sa.Column("rounding", sa.String(20)),
    sa.Column("notes", json_type()),
    sa.Column("tax_proof", json_type()),
    sa.Column("settled_at", Instant),
    sa.Column("voided_at", Instant),
    sa.Column("void_reason", sa.String(40)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.UniqueConstraint("series", "year", "sequence"),
    sa.UniqueConstraint("contract_id", "period_index", "asked_at"),
    sa.CheckConstraint("status IN ('draft', 'issued', 'paid', 'void')", name="status"),
    sa.CheckConstraint("fee_minor > 0 AND mailing_minor >= 0 AND tax_minor >= 0", name="amounts"),
    sa.CheckConstraint("total_minor = fee_minor + mailing_minor + tax_minor", name="total_is_sum_of_lines"),
    sa.CheckConstraint("status = 'void' OR (status = 'draft') = (sequence IS NULL)", name="numbered_when_issued"),
    sa.CheckConstraint(
        "(sequence IS NULL) = (series IS NULL) AND (sequence IS NULL) = (year IS NULL)"
        " AND (sequence IS NULL) = (issued_at IS NULL) AND (sequence IS NULL) = (issued_on IS NULL)"
        " AND (sequence IS NULL) = (tax_minor IS NULL) AND (sequence IS NULL) = (total_minor IS NULL)",
        name="issued_whole",
    ),
    sa.CheckConstraint("(status = 'paid') = (settled_at IS NOT NULL)", name="settled_when_paid"),
    sa.CheckConstraint(
        "(status = 'void') = (voided_at IS NOT NULL) AND (status = 'void') = (void_reason IS NOT NULL)",
        name="voided_with_reason",
    ),
    sa.Index(
        "uq_invoices_period_in_force",
        "contract_id",
        "period_index",
        unique=True,
        postgresql_where=sa.text("status <> 'void'"),
        sqlite_where=sa.text("status <> 'void'"),
    ),
    sa.Index(
        "ix_invoices_waiting_for_profile",
        "customer_id",
        postgresql_where=sa.text("status = 'draft'"),
        sqlite_where=sa.text("status = 'draft'"),
    ),
    sa.Index("ix_invoices_customer_id_id", "customer_id", "id"),
)

invoice_lines = sa.Table(
    "invoice_lines",
    metadata,
    sa.Column("invoice_id", sa.Uuid, sa.ForeignKey("invoices.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("description", sa.String(400), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("base_minor", sa.BigInteger),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("category", sa.String(2), nullable=False),
    sa.Column("rate_percent", sa.String(12), nullable=False),
    sa.CheckConstraint("kind IN ('fee', 'mailing', 'tax')", name="kind"),
    sa.CheckConstraint("(kind = 'tax') = (base_minor IS NOT NULL)", name="tax_has_base"),
    sa.CheckConstraint("category IN ('S', 'AE', 'E', 'G', 'O')", name="category"),
)

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("invoice_id", sa.Uuid, sa.ForeignKey("invoices.id"), nullable=False),
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
    sa.Column("reported_at", Instant, nullable=False),
    sa.Column("audited_by", sa.String(200)),
    sa.Column("audited_at", Instant),
    sa.Column("rejection_reason", sa.Text),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('reported', 'approved', 'rejected')", name="status"),
    sa.CheckConstraint("amount_minor > 0", name="amount"),
    sa.CheckConstraint("audited_by <> recorded_by", name="four_eyes"),
    sa.CheckConstraint(
        "(status = 'reported') = (audited_by IS NULL) AND (status = 'reported') = (audited_at IS NULL)", name="audited"
    ),
    sa.CheckConstraint("(status = 'rejected') = (rejection_reason IS NOT NULL)", name="rejected_with_reason"),
    sa.CheckConstraint("evidence_sha256 IS NOT NULL OR bank_reference_key IS NOT NULL", name="evidence"),
    sa.CheckConstraint(
        "(evidence_sha256 IS NULL) = (evidence_name IS NULL) AND (evidence_sha256 IS NULL) = (evidence_type IS NULL)"
        " AND (evidence_sha256 IS NULL) = (evidence_size_bytes IS NULL)",
        name="evidence_whole",
    ),
    # A rejected report sets its reference free: a mistyped amount must not lock a real transfer out.
    sa.Index(
        "uq_payments_bank_reference_key",
        "bank_reference_key",
        unique=True,
        postgresql_where=sa.text("status <> 'rejected'"),
        sqlite_where=sa.text("status <> 'rejected'"),
    ),
    sa.Index("ix_payments_invoice_id", "invoice_id"),
    sa.Index("ix_payments_customer_id_id", "customer_id", "id"),
    sa.Index(
        "ix_payments_in_audit",
        "id",
        postgresql_where=sa.text("status = 'reported'"),
        sqlite_where=sa.text("status = 'reported'"),
    ),
)

credit_entries = sa.Table(
    "credit_entries",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("payment_id", sa.Uuid, sa.ForeignKey("payments.id"), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("payment_id", "kind"),
    sa.CheckConstraint("amount_minor > 0", name="amount"),
    sa.CheckConstraint("kind IN ('overpayment', 'not-served')", name="kind"),
    sa.Index("ix_credit_entries_customer_id_id", "customer_id", "id"),
)

_IN_FORCE = sa.text("status NOT IN ('declined', 'withdrawn')")

refunds = sa.Table(
    "refunds",
    metadata,
    # Contracts gave it the id.
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("invoice_id", sa.Uuid, sa.ForeignKey("invoices.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("contract_id", sa.Uuid, nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("ground", sa.String(20), nullable=False),
    sa.Column("incident_id", sa.Uuid),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("amount_minor", sa.BigInteger),
    sa.Column("paid_minor", sa.BigInteger),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("prepared_by", sa.String(200)),
    sa.Column("prepared_at", Instant),
    sa.Column("released_by", sa.String(200)),
    sa.Column("released_at", Instant),
    sa.Column("declined_at", Instant),
    sa.Column("declined_by", sa.String(200)),
    sa.Column("decline_code", sa.String(40)),
    sa.Column("decline_reason", sa.Text),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('requested', 'prepared', 'released', 'declined', 'withdrawn')", name="status"),
    sa.CheckConstraint("ground IN ('dissatisfied', 'company-defect')", name="ground"),
    sa.CheckConstraint("(ground = 'company-defect') = (incident_id IS NOT NULL)", name="incident"),
    sa.CheckConstraint("amount_minor > 0 AND amount_minor <= paid_minor", name="never_more_than_paid"),
    sa.CheckConstraint(
        "(prepared_by IS NULL) = (prepared_at IS NULL) AND (prepared_by IS NULL) = (amount_minor IS NULL)"
        " AND (prepared_by IS NULL) = (paid_minor IS NULL)",
        name="prepared_whole",
    ),
    sa.CheckConstraint("status <> 'requested' OR prepared_by IS NULL", name="requested"),
    sa.CheckConstraint("status NOT IN ('prepared', 'released') OR prepared_by IS NOT NULL", name="prepared"),
    sa.CheckConstraint(
        "(status = 'released') = (released_by IS NOT NULL) AND (status = 'released') = (released_at IS NOT NULL)",
        name="released",
    ),
    sa.CheckConstraint("released_by <> prepared_by", name="four_eyes"),
    sa.CheckConstraint(
        "(status IN ('declined', 'withdrawn')) = (declined_at IS NOT NULL)"
        " AND (declined_at IS NULL) = (declined_by IS NULL) AND (declined_at IS NULL) = (decline_code IS NULL)",
        name="declined",
    ),
    sa.CheckConstraint(
        "decline_code IN ('declined-by-finance', 'withdrawn-by-customer', 'nothing-to-refund')", name="decline_code"
    ),
    sa.CheckConstraint(
        "(status = 'withdrawn') = (COALESCE(decline_code, '') = 'withdrawn-by-customer')", name="withdrawn"
    ),
    sa.CheckConstraint(
        "(COALESCE(decline_code, '') = 'declined-by-finance') = (decline_reason IS NOT NULL)",
        name="declined_with_reason",
    ),
    sa.Index(
        "uq_refunds_invoice_in_force",
        "invoice_id",
        unique=True,
        postgresql_where=_IN_FORCE,
        sqlite_where=_IN_FORCE,
    ),
    sa.Index("ix_refunds_contract_id_id", "contract_id", "id"),
    sa.Index("ix_refunds_customer_id_id", "customer_id", "id"),
)

credit_notes = sa.Table(
    "credit_notes",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("refund_id", sa.Uuid, sa.ForeignKey("refunds.id"), nullable=False, unique=True),
    sa.Column("invoice_id", sa.Uuid, sa.ForeignKey("invoices.id"), nullable=False, unique=True),
    sa.Column("invoice_number", sa.String(30), nullable=False),
    sa.Column("invoice_issued_on", sa.Date, nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("contract_id", sa.Uuid, nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("fee_minor", sa.BigInteger, nullable=False),
    sa.Column("mailing_minor", sa.BigInteger, nullable=False),
    sa.Column("tax_minor", sa.BigInteger, nullable=False),
    sa.Column("total_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("series", sa.String(10), nullable=False),
    sa.Column("year", sa.Integer, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("issued_on", sa.Date, nullable=False),
    sa.Column("issued_at", Instant, nullable=False),
    sa.Column("seller", json_type(), nullable=False),
    sa.Column("buyer", json_type(), nullable=False),
    sa.Column("tax_name", sa.String(80), nullable=False),
    sa.Column("rounding", sa.String(20), nullable=False),
    sa.Column("notes", json_type(), nullable=False),
    sa.Column("tax_proof", json_type(), nullable=False),
    sa.UniqueConstraint("series", "year", "sequence"),
    sa.CheckConstraint("fee_minor > 0 AND mailing_minor >= 0 AND tax_minor >= 0", name="amounts"),
    sa.CheckConstraint("total_minor = fee_minor + mailing_minor + tax_minor", name="total_is_sum_of_lines"),
    sa.Index("ix_credit_notes_contract_id_id", "contract_id", "id"),
    sa.Index("ix_credit_notes_customer_id_id", "customer_id", "id"),
)

credit_note_lines = sa.Table(
    "credit_note_lines",
    metadata,
    sa.Column("credit_note_id", sa.Uuid, sa.ForeignKey("credit_notes.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("description", sa.String(400), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("base_minor", sa.BigInteger),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("category", sa.String(2), nullable=False),
    sa.Column("rate_percent", sa.String(12), nullable=False),
    sa.CheckConstraint("kind IN ('fee', 'mailing', 'tax')", name="kind"),
    sa.CheckConstraint("(kind = 'tax') = (base_minor IS NOT NULL)", name="tax_has_base"),
    sa.CheckConstraint("category IN ('S', 'AE', 'E', 'G', 'O')", name="category"),
)
