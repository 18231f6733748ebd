"""Protect a server of a contract once a place, instead of once."""

from __future__ import annotations

import sqlalchemy as sa

from shared.kit.revisions.indexes import create_index_beside_traffic, drop_index_beside_traffic

revision = "0006"
down_revision = "0005"
phase = "expand"
judged_safe = {
    "DROP INDEX CONCURRENTLY IF EXISTS uq_protections_contract_id_server_id": "A release before this one makes local "
    "protections only, which the index that takes its place allows once, too.",
}

NOT_PURGED = sa.text("status <> 'purged'")
NARROW, WIDE = "uq_protections_contract_id_server_id", "uq_protections_contract_id_server_id_place"


def upgrade() -> None:
    create_index_beside_traffic(
        WIDE,
        "protections",
        ["contract_id", "server_id", "place"],
        unique=True,
        postgresql_where=NOT_PURGED,
        sqlite_where=NOT_PURGED,
    )
    drop_index_beside_traffic(NARROW, "protections")


def downgrade() -> None:
    create_index_beside_traffic(
        NARROW,
        "protections",
        ["contract_id", "server_id"],
        unique=True,
        postgresql_where=NOT_PURGED,
        sqlite_where=NOT_PURGED,
    )
    drop_index_beside_traffic(WIDE, "protections")
