"""Tables of the vault: secrets, their sealed values, the keys that wrap them, reveals, and disclosures."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("current_version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("kept_at", Instant, nullable=False),
    sa.Column("kept_by", sa.String(200), nullable=False),
    sa.Column("replaced_at", Instant),
    sa.Column("removed_at", Instant),
    sa.Column("removed_by", sa.String(200)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("kind IN ('password', 'ssh-key', 'token')", name="kind"),
    sa.CheckConstraint("status IN ('kept', 'removed')", name="status"),
    sa.CheckConstraint("current_version >= 1", name="current_version"),
    sa.CheckConstraint("(current_version = 1) = (replaced_at IS NULL)", name="replaced"),
    sa.CheckConstraint("(status = 'removed') = (removed_at IS NOT NULL)", name="removed"),
    sa.CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name="removed_by"),
    sa.Index("ix_secrets_server_id_id", "server_id", "id"),
    sa.Index(
        "uq_secrets_kept",
        "server_id",
        "name",
        unique=True,
        postgresql_where=sa.text("status = 'kept'"),
        sqlite_where=sa.text("status = 'kept'"),
    ),
)

vault_keys = sa.Table(
    "vault_keys",
    metadata,
    # Names that open nothing; the keys themselves are outside the database.
    sa.Column("id", sa.String(300), primary_key=True),
    sa.Column("used_at", Instant, nullable=False),
    sa.Column("retired_at", Instant),
)

secret_values = sa.Table(
    "secret_values",
    metadata,
    # One value of a secret at a time: what was replaced or removed is gone.
    sa.Column("secret_id", sa.Uuid, sa.ForeignKey("secrets.id"), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("key_id", sa.String(300), sa.ForeignKey("vault_keys.id"), nullable=False),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("nonce", sa.LargeBinary, nullable=False),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    sa.Column("kept_at", Instant, nullable=False),
    sa.Column("kept_by", sa.String(200), nullable=False),
    sa.CheckConstraint("number >= 1", name="number"),
    sa.Index("ix_secret_values_key_id_secret_id", "key_id", "secret_id"),
)

secret_reveals = sa.Table(
    "secret_reveals",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("secret_id", sa.Uuid, sa.ForeignKey("secrets.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id"), nullable=False),
    sa.Column("revealed_to", sa.String(200), nullable=False),
    sa.Column("revealed_at", Instant, nullable=False),
    sa.Index("ix_secret_reveals_revealed_to_revealed_at", "revealed_to", "revealed_at"),
    sa.Index("ix_secret_reveals_secret_id_id", "secret_id", "id"),
)

disclosures = sa.Table(
    "disclosures",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("secret_id", sa.Uuid, sa.ForeignKey("secrets.id")),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("disclosed_by", sa.String(20), nullable=False),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("clause", sa.String(10), nullable=False),
    sa.Column("responsible", sa.String(20), nullable=False),
    sa.Column("disclosed_at", Instant, nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("reported_at", Instant, nullable=False),
    sa.Column("reported_by", sa.String(200), nullable=False),
    sa.Column("replace_by", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("overdue_at", Instant),
    sa.Column("replaced_at", Instant),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("kind IN ('password', 'ssh-key', 'token', 'other-information')", name="kind"),
    sa.CheckConstraint("disclosed_by IN ('customer', 'company', 'unknown')", name="disclosed_by"),
    sa.CheckConstraint("source IN ('customer', 'staff')", name="source"),
    sa.CheckConstraint("responsible IN ('customer', 'company', 'undetermined')", name="responsible"),
    sa.CheckConstraint("disclosed_at <= reported_at", name="disclosed"),
    sa.CheckConstraint("status IN ('reported', 'overdue', 'replaced')", name="status"),
    sa.CheckConstraint("status <> 'overdue' OR overdue_at IS NOT NULL", name="overdue"),
    sa.CheckConstraint("overdue_at IS NULL OR overdue_at >= replace_by", name="overdue_at"),
    sa.CheckConstraint("(status = 'replaced') = (replaced_at IS NOT NULL)", name="replaced"),
    sa.Index("ix_disclosures_contract_id_id", "contract_id", "id"),
    sa.Index("ix_disclosures_server_id_disclosed_at", "server_id", "disclosed_at"),
    sa.Index(
        "ix_disclosures_open",
        "secret_id",
        postgresql_where=sa.text("status <> 'replaced'"),
        sqlite_where=sa.text("status <> 'replaced'"),
    ),
    sa.Index(
        "ix_disclosures_overdue",
        "replace_by",
        postgresql_where=sa.text("status = 'overdue'"),
        sqlite_where=sa.text("status = 'overdue'"),
    ),
)
