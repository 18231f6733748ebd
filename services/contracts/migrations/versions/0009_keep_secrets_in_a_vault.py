"""Keep secrets of servers in a vault, and disclosures."""

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant

revision = "0009"
down_revision = "0008"
phase = "expand"


def upgrade() -> None:
    op.add_column("contracts", sa.Column("disclosure_open_since", Instant()))
    op.create_table(
        "secrets",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("current_version", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("kept_at", Instant(), nullable=False),
        sa.Column("kept_by", sa.String(200), nullable=False),
        sa.Column("replaced_at", Instant()),
        sa.Column("removed_at", Instant()),
        sa.Column("removed_by", sa.String(200)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_secrets_server_id"),
        sa.CheckConstraint("kind IN ('password', 'ssh-key', 'token')", name=op.f("ck_secrets_kind")),
        sa.CheckConstraint("status IN ('kept', 'removed')", name=op.f("ck_secrets_status")),
        sa.CheckConstraint("current_version >= 1", name=op.f("ck_secrets_current_version")),
        sa.CheckConstraint("(current_version = 1) = (replaced_at IS NULL)", name=op.f("ck_secrets_replaced")),
        sa.CheckConstraint("(status = 'removed') = (removed_at IS NOT NULL)", name=op.f("ck_secrets_removed")),
        sa.CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name=op.f("ck_secrets_removed_by")),
        sa.PrimaryKeyConstraint("id", name="pk_secrets"),
    )
    op.create_index("ix_secrets_server_id_id", "secrets", ["server_id", "id"])
    op.create_index(
        "uq_secrets_kept",
        "secrets",
        ["server_id", "name"],
        unique=True,
        postgresql_where=sa.text("status = 'kept'"),
        sqlite_where=sa.text("status = 'kept'"),
    )
    op.create_table(
        "vault_keys",
        sa.Column("id", sa.String(300), nullable=False),
        sa.Column("used_at", Instant(), nullable=False),
        sa.Column("retired_at", Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_vault_keys"),
    )
    op.create_table(
        "secret_values",
        sa.Column("secret_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("key_id", sa.String(300), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
        sa.Column("kept_at", Instant(), nullable=False),
        sa.Column("kept_by", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["secret_id"], ["secrets.id"], name="fk_secret_values_secret_id"),
        sa.ForeignKeyConstraint(["key_id"], ["vault_keys.id"], name="fk_secret_values_key_id"),
        sa.CheckConstraint("number >= 1", name=op.f("ck_secret_values_number")),
        sa.PrimaryKeyConstraint("secret_id", name="pk_secret_values"),
    )
    op.create_index("ix_secret_values_key_id_secret_id", "secret_values", ["key_id", "secret_id"])
    op.create_table(
        "secret_reveals",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("secret_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("work_request_id", sa.Uuid, nullable=False),
        sa.Column("revealed_to", sa.String(200), nullable=False),
        sa.Column("revealed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["secret_id"], ["secrets.id"], name="fk_secret_reveals_secret_id"),
        sa.ForeignKeyConstraint(["work_request_id"], ["work_requests.id"], name="fk_secret_reveals_work_request_id"),
        sa.PrimaryKeyConstraint("id", name="pk_secret_reveals"),
    )
    op.create_index("ix_secret_reveals_revealed_to_revealed_at", "secret_reveals", ["revealed_to", "revealed_at"])
    op.create_index("ix_secret_reveals_secret_id_id", "secret_reveals", ["secret_id", "id"])
    op.create_table(
        "disclosures",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("secret_id", sa.Uuid),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("disclosed_by", sa.String(20), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("clause", sa.String(10), nullable=False),
        sa.Column("responsible", sa.String(20), nullable=False),
        sa.Column("disclosed_at", Instant(), nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("reported_at", Instant(), nullable=False),
        sa.Column("reported_by", sa.String(200), nullable=False),
        sa.Column("replace_by", Instant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("overdue_at", Instant()),
        sa.Column("replaced_at", Instant()),
        sa.Column("version", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_disclosures_contract_id"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_disclosures_server_id"),
        sa.ForeignKeyConstraint(["secret_id"], ["secrets.id"], name="fk_disclosures_secret_id"),
        sa.CheckConstraint(
            "kind IN ('password', 'ssh-key', 'token', 'other-information')", name=op.f("ck_disclosures_kind")
        ),
        sa.CheckConstraint(
            "disclosed_by IN ('customer', 'company', 'unknown')", name=op.f("ck_disclosures_disclosed_by")
        ),
        sa.CheckConstraint("source IN ('customer', 'staff')", name=op.f("ck_disclosures_source")),
        sa.CheckConstraint(
            "responsible IN ('customer', 'company', 'undetermined')", name=op.f("ck_disclosures_responsible")
        ),
        sa.CheckConstraint("disclosed_at <= reported_at", name=op.f("ck_disclosures_disclosed")),
        sa.CheckConstraint("status IN ('reported', 'overdue', 'replaced')", name=op.f("ck_disclosures_status")),
        sa.CheckConstraint("status <> 'overdue' OR overdue_at IS NOT NULL", name=op.f("ck_disclosures_overdue")),
        sa.CheckConstraint("overdue_at IS NULL OR overdue_at >= replace_by", name=op.f("ck_disclosures_overdue_at")),
        sa.CheckConstraint("(status = 'replaced') = (replaced_at IS NOT NULL)", name=op.f("ck_disclosures_replaced")),
        sa.PrimaryKeyConstraint("id", name="pk_disclosures"),
    )
    op.create_index("ix_disclosures_contract_id_id", "disclosures", ["contract_id", "id"])
    op.create_index("ix_disclosures_server_id_disclosed_at", "disclosures", ["server_id", "disclosed_at"])
    op.create_index(
        "ix_disclosures_open",
        "disclosures",
        ["secret_id"],
        postgresql_where=sa.text("status <> 'replaced'"),
        sqlite_where=sa.text("status <> 'replaced'"),
    )
    op.create_index(
        "ix_disclosures_overdue",
        "disclosures",
        ["replace_by"],
        postgresql_where=sa.text("status = 'overdue'"),
        sqlite_where=sa.text("status = 'overdue'"),
    )


def downgrade() -> None:
    op.drop_table("disclosures")
    op.drop_table("secret_reveals")
    op.drop_table("secret_values")
    op.drop_table("vault_keys")
    op.drop_table("secrets")
    op.drop_column("contracts", "disclosure_open_since")
