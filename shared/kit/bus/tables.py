"""The bus's tables in every service's database, and those of the SQL event log in its own."""

from __future__ import annotations

import sqlalchemy as sa

from shared.kit.db import Instant, big_serial
from shared.kit.tables import NAMING, metadata

__all__ = [
    "consumer_offsets",
    "consumer_positions",
    "log_leases",
    "log_members",
    "log_metadata",
    "log_partitions",
    "log_records",
    "log_topics",
    "metadata",
    "outbox",
    "parked_events",
    "relay_members",
    "relay_shards",
    "stream_epoch",
    "streams",
]

NAME = 200
"""The longest topic, key or consumer name."""

streams = sa.Table(
    "streams",
    metadata,
    sa.Column("topic", sa.String(NAME), primary_key=True),
    sa.Column("key", sa.String(NAME), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
)

# No row means epoch 1, so that a fresh database needs no seed.
stream_epoch = sa.Table(
    "stream_epoch",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.CheckConstraint("id = 1", name="single"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", big_serial(), primary_key=True, autoincrement=True),
    sa.Column("shard", sa.SmallInteger, nullable=False),
    sa.Column("topic", sa.String(NAME), nullable=False),
    sa.Column("key", sa.String(NAME), nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("enqueued_at", Instant, nullable=False),
    sa.Index("ix_outbox_shard_id", "shard", "id"),
)

relay_shards = sa.Table(
    "relay_shards",
    metadata,
    sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.Uuid),
    sa.Column("leased_until", Instant),
)

relay_members = sa.Table(
    "relay_members",
    metadata,
    sa.Column("member", sa.Uuid, primary_key=True),
    sa.Column("seen_until", Instant, nullable=False),
)

consumer_offsets = sa.Table(
    "consumer_offsets",
    metadata,
    sa.Column("consumer", sa.String(NAME), primary_key=True),
    sa.Column("topic", sa.String(NAME), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    # Where this consumer began; above 0 it has not seen the beginning, so an unknown key may start at any seq.
    sa.Column("start_offset", sa.BigInteger, nullable=False),
)

consumer_positions = sa.Table(
    "consumer_positions",
    metadata,
    sa.Column("consumer", sa.String(NAME), primary_key=True),
    sa.Column("topic", sa.String(NAME), primary_key=True),
    sa.Column("key", sa.String(NAME), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
)

parked_events = sa.Table(
    "parked_events",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("consumer", sa.String(NAME), nullable=False),
    sa.Column("topic", sa.String(NAME), nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("key", sa.String(NAME), nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    # False: the record names no seq of its own; epoch and seq are those of the event before it.
    sa.Column("numbered", sa.Boolean, nullable=False),
    sa.Column("type", sa.String(NAME)),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("error_class", sa.String(100)),
    sa.Column("error", sa.String(500)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("parked_at", Instant, nullable=False),
    sa.Column("next_attempt_at", Instant),
    sa.Column("skipped_at", Instant),
    sa.Column("skipped_by", sa.String(NAME)),
    sa.Column("skipped_reason", sa.String(500)),
    sa.CheckConstraint("status IN ('waiting', 'held', 'behind', 'skipped')", name="status"),
    sa.CheckConstraint("(status = 'waiting') = (next_attempt_at IS NOT NULL)", name="waiting"),
    sa.CheckConstraint("(status = 'skipped') = (skipped_reason IS NOT NULL)", name="skipped"),
    sa.Index("ix_parked_events_order", "consumer", "topic", "key", "epoch", "seq", "offset"),
    sa.Index(
        "uq_parked_events_event",
        "consumer",
        "topic",
        "key",
        "epoch",
        "seq",
        unique=True,
        postgresql_where=sa.text("numbered"),
        sqlite_where=sa.text("numbered"),
    ),
    sa.Index(
        "uq_parked_events_record",
        "consumer",
        "topic",
        "partition",
        "offset",
        unique=True,
        postgresql_where=sa.text("NOT numbered"),
        sqlite_where=sa.text("NOT numbered"),
    ),
    sa.Index(
        "uq_parked_events_head",
        "consumer",
        "topic",
        "key",
        unique=True,
        postgresql_where=sa.text("status IN ('waiting', 'held')"),
        sqlite_where=sa.text("status IN ('waiting', 'held')"),
    ),
    sa.Index(
        "ix_parked_events_due",
        "consumer",
        "next_attempt_at",
        postgresql_where=sa.text("status = 'waiting'"),
        sqlite_where=sa.text("status = 'waiting'"),
    ),
)

log_metadata = sa.MetaData(naming_convention=NAMING)

log_topics = sa.Table(
    "log_topics",
    log_metadata,
    sa.Column("topic", sa.String(NAME), primary_key=True),
    sa.Column("partitions", sa.Integer, nullable=False),
)

log_partitions = sa.Table(
    "log_partitions",
    log_metadata,
    sa.Column("topic", sa.String(NAME), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("oldest_offset", sa.BigInteger, nullable=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
)

log_records = sa.Table(
    "log_records",
    log_metadata,
    sa.Column("topic", sa.String(NAME), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(NAME), nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("appended_at", Instant, nullable=False),
)

log_leases = sa.Table(
    "log_leases",
    log_metadata,
    sa.Column("consumer", sa.String(NAME), primary_key=True),
    sa.Column("topic", sa.String(NAME), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.Uuid),
    sa.Column("leased_until", Instant),
)

log_members = sa.Table(
    "log_members",
    log_metadata,
    sa.Column("consumer", sa.String(NAME), primary_key=True),
    sa.Column("member", sa.Uuid, primary_key=True),
    sa.Column("seen_until", Instant, nullable=False),
)
