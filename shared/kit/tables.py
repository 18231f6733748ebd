"""The tables that every service's database has besides its own."""

from __future__ import annotations

import sqlalchemy as sa

from shared.kit.db import Instant, big_serial, json_type

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = sa.MetaData(naming_convention=NAMING)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("caller", sa.String(200), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("request_sha256", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("headers", json_type()),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", Instant, nullable=False),
    sa.Index("ix_idempotency_keys_created_at", "created_at"),
)

timers = sa.Table(
    "timers",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.String(80), nullable=False),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("payload", json_type(), nullable=False),
    sa.Column("correlation_id", sa.String(80), nullable=False),
    sa.Column("leased_by", sa.Uuid),
    sa.Column("leased_until", Instant),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_error", sa.String(500)),
    sa.Column("parked_at", Instant),
    sa.UniqueConstraint("kind", "subject_id"),
    # The predicate is a literal, so that also a generic plan uses the partial index.
    sa.Index(
        "ix_timers_due_at",
        "due_at",
        postgresql_where=sa.text("parked_at IS NULL"),
        sqlite_where=sa.text("parked_at IS NULL"),
    ),
    sa.Index(
        "ix_timers_parked_at",
        "parked_at",
        postgresql_where=sa.text("parked_at IS NOT NULL"),
        sqlite_where=sa.text("parked_at IS NOT NULL"),
    ),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.String(80), nullable=False),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("verdict", sa.String(40), nullable=False),
    sa.Column("clause", sa.String(10), nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("facts", json_type(), nullable=False),
    sa.Column("decided_by", sa.String(200), nullable=False),
    sa.Column("decided_at", Instant, nullable=False),
    # Of rules that were not asked by parameters, and of decisions older than the column, there are none.
    sa.Column("parameters", json_type()),
    sa.Index("ix_decisions_subject_id_id", "subject_id", "id"),
    sa.Index("ix_decisions_customer_id_id", "customer_id", "id"),
)

audit_rows = sa.Table(
    "audit_rows",
    metadata,
    sa.Column("id", big_serial(), primary_key=True, autoincrement=True),
    sa.Column("chain", sa.Uuid, nullable=False),
    sa.Column("event", json_type(), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("seq", sa.BigInteger),
    sa.Column("hash", sa.String(64)),
    sa.UniqueConstraint("chain", "seq"),
    sa.Index(
        "ix_audit_rows_unsealed",
        "id",
        postgresql_where=sa.text("seq IS NULL"),
        sqlite_where=sa.text("seq IS NULL"),
    ),
)

audit_heads = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("chain", sa.Uuid, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("sealed_at", Instant, nullable=False),
)

virtual_clock = sa.Table(
    "virtual_clock",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("offset_microseconds", sa.BigInteger, nullable=False),
    sa.CheckConstraint("id = 1", name="single"),
)

running_processes = sa.Table(
    "running_processes",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
)

# No row means that every release may run.
version_floor = sa.Table(
    "version_floor",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("revision", sa.String(10), nullable=False),
    sa.CheckConstraint("id = 1", name="single"),
)
