"""Keep extensions: the explanation, the answer, and until when a period's service is carried on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant
from shared.kit.revisions.checks import add_check, drop_check, replace_check

revision = "0008"
down_revision = "0007"
phase = "expand"
_WIDER = "The condition that takes its place in the same transaction allows all that it allowed, and extended besides."
judged_safe = {
    "ALTER TABLE contracts DROP CONSTRAINT ck_contracts_status": _WIDER,
    "ALTER TABLE contracts DROP CONSTRAINT ck_contracts_registered": _WIDER,
}

STATUS = (
    "ck_contracts_status",
    "status IN ('draft', 'awaiting_payment', 'active', 'held', 'expired', 'withdrawn')",
    "status IN ('draft', 'awaiting_payment', 'active', 'extended', 'held', 'expired', 'withdrawn')",
)
REGISTERED = (
    "ck_contracts_registered",
    "(status IN ('active', 'held', 'expired')) = (current_index > 0)",
    "(status IN ('active', 'extended', 'held', 'expired')) = (current_index > 0)",
)
EXPLAINED_IN_TIME = ("ck_periods_explained_in_time", "explained_at < ends_at")
EXTENDED = ("ck_periods_extended", "extended_until IS NULL OR extended_until > ends_at AND explained_at IS NOT NULL")


def upgrade() -> None:
    for name, old, new in (STATUS, REGISTERED):
        replace_check("contracts", name, old=old, new=new)
    op.add_column("periods", sa.Column("explained_at", Instant))
    op.add_column("periods", sa.Column("extended_until", Instant))
    for name, condition in (EXPLAINED_IN_TIME, EXTENDED):
        add_check("periods", name, condition)
    op.create_table(
        "extensions",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
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
        sa.CheckConstraint("status IN ('requested', 'approved', 'refused')", name=op.f("ck_extensions_status")),
        sa.CheckConstraint("requested_at < period_ends_at", name=op.f("ck_extensions_explained_in_time")),
        sa.CheckConstraint("(status = 'requested') = (decided_at IS NULL)", name=op.f("ck_extensions_decided")),
        sa.CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name=op.f("ck_extensions_decided_by")),
        sa.CheckConstraint("decided_by <> requested_by", name=op.f("ck_extensions_four_eyes")),
        sa.CheckConstraint(
            "(status = 'approved') = (until_on IS NOT NULL) AND (status = 'approved') = (extended_until IS NOT NULL)",
            name=op.f("ck_extensions_granted"),
        ),
        sa.CheckConstraint("extended_until > period_ends_at", name=op.f("ck_extensions_after_the_end")),
        sa.CheckConstraint("(status = 'refused') = (refusal_reason IS NOT NULL)", name=op.f("ck_extensions_refused")),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_extensions_contract_id"),
        sa.PrimaryKeyConstraint("id", name="pk_extensions"),
    )
    open_or_granted, waiting = sa.text("status <> 'refused'"), sa.text("status = 'requested'")
    op.create_index(
        "uq_extensions_period",
        "extensions",
        ["contract_id", "period_index"],
        unique=True,
        postgresql_where=open_or_granted,
        sqlite_where=open_or_granted,
    )
    op.create_index("ix_extensions_contract_id_id", "extensions", ["contract_id", "id"])
    op.create_index("ix_extensions_customer_id_id", "extensions", ["customer_id", "id"])
    op.create_index("ix_extensions_requested", "extensions", ["id"], postgresql_where=waiting, sqlite_where=waiting)


def downgrade() -> None:
    op.drop_table("extensions")
    for name, condition in (EXTENDED, EXPLAINED_IN_TIME):
        drop_check("periods", name, condition)
    op.drop_column("periods", "extended_until")
    op.drop_column("periods", "explained_at")
    for name, old, new in (REGISTERED, STATUS):
        replace_check("contracts", name, old=new, new=old)
