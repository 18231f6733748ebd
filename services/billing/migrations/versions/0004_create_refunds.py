"""Create refunds, and credit notes with their lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, json_type

revision = "0004"
down_revision = "0003"
phase = "expand"


def upgrade() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("invoice_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("ground", sa.String(20), nullable=False),
        sa.Column("incident_id", sa.Uuid),
        sa.Column("requested_at", Instant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("paid_minor", sa.BigInteger),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("prepared_by", sa.String(200)),
        sa.Column("prepared_at", Instant()),
        sa.Column("released_by", sa.String(200)),
        sa.Column("released_at", Instant()),
        sa.Column("declined_at", Instant()),
        sa.Column("declined_by", sa.String(200)),
        sa.Column("decline_code", sa.String(40)),
        sa.Column("decline_reason", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refunds"),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_refunds_invoice_id"),
        sa.CheckConstraint(
            "status IN ('requested', 'prepared', 'released', 'declined', 'withdrawn')", name=op.f("ck_refunds_status")
        ),
        sa.CheckConstraint("ground IN ('dissatisfied', 'company-defect')", name=op.f("ck_refunds_ground")),
        sa.CheckConstraint("(ground = 'company-defect') = (incident_id IS NOT NULL)", name=op.f("ck_refunds_incident")),
        sa.CheckConstraint(
            "amount_minor > 0 AND amount_minor <= paid_minor", name=op.f("ck_refunds_never_more_than_paid")
        ),
        sa.CheckConstraint(
            "(prepared_by IS NULL) = (prepared_at IS NULL) AND (prepared_by IS NULL) = (amount_minor IS NULL)"
            " AND (prepared_by IS NULL) = (paid_minor IS NULL)",
            name=op.f("ck_refunds_prepared_whole"),
        ),
        sa.CheckConstraint("status <> 'requested' OR prepared_by IS NULL", name=op.f("ck_refunds_requested")),
        sa.CheckConstraint(
            "status NOT IN ('prepared', 'released') OR prepared_by IS NOT NULL", name=op.f("ck_refunds_prepared")
        ),
        sa.CheckConstraint(
            "(status = 'released') = (released_by IS NOT NULL) AND (status = 'released') = (released_at IS NOT NULL)",
            name=op.f("ck_refunds_released"),
        ),
        sa.CheckConstraint("released_by <> prepared_by", name=op.f("ck_refunds_four_eyes")),
        sa.CheckConstraint(
            "(status IN ('declined', 'withdrawn')) = (declined_at IS NOT NULL)"
            " AND (declined_at IS NULL) = (declined_by IS NULL) AND (declined_at IS NULL) = (decline_code IS NULL)",
            name=op.f("ck_refunds_declined"),
        ),
        sa.CheckConstraint(
            "decline_code IN ('declined-by-finance', 'withdrawn-by-customer', 'nothing-to-refund')",
            name=op.f("ck_refunds_decline_code"),
        ),
        sa.CheckConstraint(
            "(status = 'withdrawn') = (COALESCE(decline_code, '') = 'withdrawn-by-customer')",
            name=op.f("ck_refunds_withdrawn"),
        ),
        sa.CheckConstraint(
            "(COALESCE(decline_code, '') = 'declined-by-finance') = (decline_reason IS NOT NULL)",
            name=op.f("ck_refunds_declined_with_reason"),
        ),
    )
    op.create_index("ix_refunds_contract_id_id", "refunds", ["contract_id", "id"])
    op.create_index("ix_refunds_customer_id_id", "refunds", ["customer_id", "id"])
    in_force = sa.text("status NOT IN ('declined', 'withdrawn')")
    op.create_index(
        "uq_refunds_invoice_in_force",
        "refunds",
        ["invoice_id"],
        unique=True,
        postgresql_where=in_force,
        sqlite_where=in_force,
    )
    op.create_table(
        "credit_notes",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("refund_id", sa.Uuid, nullable=False),
        sa.Column("invoice_id", sa.Uuid, nullable=False),
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
        sa.Column("issued_at", Instant(), nullable=False),
        sa.Column("seller", json_type(), nullable=False),
        sa.Column("buyer", json_type(), nullable=False),
        sa.Column("tax_name", sa.String(80), nullable=False),
        sa.Column("rounding", sa.String(20), nullable=False),
        sa.Column("notes", json_type(), nullable=False),
        sa.Column("tax_proof", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credit_notes"),
        sa.ForeignKeyConstraint(["refund_id"], ["refunds.id"], name="fk_credit_notes_refund_id"),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_credit_notes_invoice_id"),
        sa.UniqueConstraint("refund_id", name="uq_credit_notes_refund_id"),
        sa.UniqueConstraint("invoice_id", name="uq_credit_notes_invoice_id"),
        sa.UniqueConstraint("series", "year", "sequence", name="uq_credit_notes_series_year_sequence"),
        sa.CheckConstraint(
            "fee_minor > 0 AND mailing_minor >= 0 AND tax_minor >= 0", name=op.f("ck_credit_notes_amounts")
        ),
        sa.CheckConstraint(
            "total_minor = fee_minor + mailing_minor + tax_minor", name=op.f("ck_credit_notes_total_is_sum_of_lines")
        ),
    )
    op.create_index("ix_credit_notes_contract_id_id", "credit_notes", ["contract_id", "id"])
    op.create_index("ix_credit_notes_customer_id_id", "credit_notes", ["customer_id", "id"])
    op.create_table(
        "credit_note_lines",
        sa.Column("credit_note_id", sa.Uuid, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("description", sa.String(400), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("base_minor", sa.BigInteger),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("category", sa.String(2), nullable=False),
        sa.Column("rate_percent", sa.String(12), nullable=False),
        sa.PrimaryKeyConstraint("credit_note_id", "position", name="pk_credit_note_lines"),
        sa.ForeignKeyConstraint(["credit_note_id"], ["credit_notes.id"], name="fk_credit_note_lines_credit_note_id"),
        sa.CheckConstraint("kind IN ('fee', 'mailing', 'tax')", name=op.f("ck_credit_note_lines_kind")),
        sa.CheckConstraint("(kind = 'tax') = (base_minor IS NOT NULL)", name=op.f("ck_credit_note_lines_tax_has_base")),
        sa.CheckConstraint("category IN ('S', 'AE', 'E', 'G', 'O')", name=op.f("ck_credit_note_lines_category")),
    )


def downgrade() -> None:
    op.drop_table("credit_note_lines")
    op.drop_table("credit_notes")
    op.drop_table("refunds")
