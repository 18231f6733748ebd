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
    parked = sa.text("parked_at IS NOT NULL")
    op.create_index("ix_timers_parked_at", "timers", ["parked_at"], postgresql_where=parked, sqlite_where=parked)
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
    op.create_table(
        "consumer_offsets",
        sa.Column("consumer", sa.String(length=200), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("start_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "topic", "partition", name=op.f("pk_consumer_offsets")),
    )
    op.create_table(
        "consumer_positions",
        sa.Column("consumer", sa.String(length=200), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "topic", "key", name=op.f("pk_consumer_positions")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", big_serial(), autoincrement=True, nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("enqueued_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        # An id given again after a deletion could be deleted on the acknowledgement of its predecessor.
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_shard_id", "outbox", ["shard", "id"], unique=False)
    op.create_table(
        "parked_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("consumer", sa.String(length=200), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("numbered", sa.Boolean(), nullable=False),
        sa.Column("type", sa.String(length=200), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("error_class", sa.String(length=100), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("parked_at", Instant(), nullable=False),
        sa.Column("next_attempt_at", Instant(), nullable=True),
        sa.Column("skipped_at", Instant(), nullable=True),
        sa.Column("skipped_by", sa.String(length=200), nullable=True),
        sa.Column("skipped_reason", sa.String(length=500), nullable=True),
        sa.CheckConstraint(
            "(status = 'skipped') = (skipped_reason IS NOT NULL)", name=op.f("ck_parked_events_skipped")
        ),
        sa.CheckConstraint(
            "(status = 'waiting') = (next_attempt_at IS NOT NULL)", name=op.f("ck_parked_events_waiting")
        ),
        sa.CheckConstraint("status IN ('waiting', 'held', 'behind', 'skipped')", name=op.f("ck_parked_events_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parked_events")),
    )
    op.create_index(
        "ix_parked_events_due",
        "parked_events",
        ["consumer", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status = 'waiting'"),
        sqlite_where=sa.text("status = 'waiting'"),
    )
    op.create_index(
        "ix_parked_events_order", "parked_events", ["consumer", "topic", "key", "epoch", "seq", "offset"], unique=False
    )
    op.create_index(
        "uq_parked_events_event",
        "parked_events",
        ["consumer", "topic", "key", "epoch", "seq"],
        unique=True,
        postgresql_where=sa.text("numbered"),
        sqlite_where=sa.text("numbered"),
    )
    op.create_index(
        "uq_parked_events_head",
        "parked_events",
        ["consumer", "topic", "key"],
        unique=True,
        postgresql_where=sa.text("status IN ('waiting', 'held')"),
        sqlite_where=sa.text("status IN ('waiting', 'held')"),
    )
    op.create_index(
        "uq_parked_events_record",
        "parked_events",
        ["consumer", "topic", "partition", "offset"],
        unique=True,
        postgresql_where=sa.text("NOT numbered"),
        sqlite_where=sa.text("NOT numbered"),
    )
    op.create_table(
        "relay_members",
        sa.Column("member", sa.Uuid(), nullable=False),
        sa.Column("seen_until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("member", name=op.f("pk_relay_members")),
    )
    op.create_table(
        "relay_shards",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=True),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_relay_shards")),
    )
    op.create_table(
        "stream_epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_stream_epoch_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream_epoch")),
    )
    op.create_table(
        "streams",
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "key", name=op.f("pk_streams")),
    )


def downgrade() -> None:
    for table in (
        "streams",
        "stream_epoch",
        "relay_shards",
        "relay_members",
        "parked_events",
        "outbox",
        "consumer_positions",
        "consumer_offsets",
        "virtual_clock",
        "audit_heads",
        "audit_rows",
        "decisions",
        "timers",
        "idempotency_keys",
    ):
        op.drop_table(table)
