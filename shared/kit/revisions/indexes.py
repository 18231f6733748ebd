"""Indexes of tables that are in use, for revisions that do nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alembic import op


def create_index_beside_traffic(name: str, table: str, columns: Sequence[str], **options: Any) -> None:
    """Readers and writers go on meanwhile; done again after it broke off. `options` as of Alembic's create_index."""
    context = op.get_context()
    if context.dialect.name != "postgresql":
        op.create_index(name, table, list(columns), **options)
        return
    with context.autocommit_block():
        op.drop_index(name, table_name=table, postgresql_concurrently=True, if_exists=True)
        op.create_index(name, table, list(columns), postgresql_concurrently=True, **options)


def drop_index_beside_traffic(name: str, table: str) -> None:
    """For contract revisions."""
    context = op.get_context()
    if context.dialect.name != "postgresql":
        op.drop_index(name, table_name=table)
        return
    with context.autocommit_block():
        op.drop_index(name, table_name=table, postgresql_concurrently=True, if_exists=True)
