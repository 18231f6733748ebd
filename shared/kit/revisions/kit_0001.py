"""Create the kit's tables: keys, timers, decisions, audit trail, clock and the bus."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, big_serial, json_type


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", json_type()),
        sa.Column("body", sa.LargeBinary),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "timers",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(80), nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("payload", json_type(), nullable=False),
        sa.Column("correlation_id", sa.String(80), nullable=False),
        sa.Column("leased_by", sa.Uuid),
        sa.Column("leased_until", Instant()),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.String(500)),
        sa.Column("parked_at", Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_timers"),
        sa.UniqueConstraint("kind", "subject_id", name="uq_timers_kind_subject_id"),
    )
    waiting = sa.text("parked_at IS NULL")
    op.create_index("ix_timers_due_at", "timers", ["due_at"], postgresql_where=waiting, sqlite_where=waiting)
    op.create_table(
        "decisions",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(80), nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("verdict", sa.String(40), nullable=False),
        sa.Column("clause", sa.String(10), nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("facts", json_type(), nullable=False),
        sa.Column("decided_by", sa.String(200), nullable=False),
        sa.Column("decided_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )
    op.create_index("ix_decisions_subject_id_id", "decisions", ["subject_id", "id"])
    op.create_index("ix_decisions_customer_id_id", "decisions", ["customer_id", "id"])
    op.create_table(
        "audit_rows",
        sa.Column("id", big_serial(), primary_key=True, autoincrement=True),
        sa.Column("chain", sa.Uuid, nullable=False),
        sa.Column("event", json_type(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.Column("hash", sa.String(64)),
        sa.UniqueConstraint("chain", "seq", name="uq_audit_rows_chain_seq"),
    )
    unsealed = sa.text("seq IS NULL")
    op.create_index("ix_audit_rows_unsealed", "audit_rows", ["id"], postgresql_where=unsealed, sqlite_where=unsealed)
    op.create_table(
        "audit_heads",
        sa.Column("chain", sa.Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("sealed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name="pk_audit_heads"),
    )
    op.create_table(
        "virtual_clock",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("offset_microseconds", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_virtual_clock"),
        sa.CheckConstraint("id = 1", name=op.f("ck_virtual_clock_single")),
    )


def downgrade() -> None:
    for table in (
        "virtual_clock",
        "audit_heads",
        "audit_rows",
        "decisions",
        "timers",
        "idempotency_keys",
    ):
        op.drop_table(table)
