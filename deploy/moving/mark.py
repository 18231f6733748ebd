"""The mark on a database while an installation is put into it: nothing starts on it, and a second try knows its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared.kit.db import Database

State = Literal["loading", "loaded", "whole"]
"""`loaded`: this database has its rows; `whole`: all of them have, were verified, and only the marks are to go."""

_metadata = sa.MetaData()
being_restored = sa.Table(
    "being_restored",
    _metadata,
    sa.Column("backup_id", sa.String(36), primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),
)
"""In no migration: it is there only meanwhile."""

LOADED = "UPDATE being_restored SET state = 'loaded'"


@dataclass(frozen=True)
class Mark:
    backup_id: UUID
    state: State


async def mark_of(database: Database) -> Mark | None:
    """Raises DatabaseAway."""
    mark: Mark | None = await database.run_sync(_read)
    return mark


async def put_mark(database: Database, mark: Mark) -> None:
    def put(connection: Connection) -> None:
        _metadata.create_all(connection)
        connection.execute(sa.delete(being_restored))
        connection.execute(sa.insert(being_restored), [{"backup_id": str(mark.backup_id), "state": mark.state}])

    await database.run_sync(put)


async def take_mark_off(database: Database) -> None:
    await database.run_sync(_metadata.drop_all)


def _read(connection: Connection) -> Mark | None:
    if not sa.inspect(connection).has_table(being_restored.name):
        return None
    row = connection.execute(sa.select(being_restored)).first()
    return None if row is None else Mark(UUID(row.backup_id), row.state)
