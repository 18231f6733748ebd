"""Databases for tests to begin on. All tables are made once per run; then a file is copied and a database emptied."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import asyncpg
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit import migrations
from shared.kit.db import Database
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.waiting import run_apart


@dataclass
class Beginnings:
    """`make` makes the `tables`, which `folder` keeps a file of; one test at a time uses the PostgreSQL database."""

    name: str
    tables: sa.MetaData
    make: Callable[[Database], Awaitable[object]]
    folder: Path
    _server: PostgresServer | None = field(default=None, init=False)

    def on_sqlite(self, file: Path) -> str:
        """The URL of a copy, in `file`, of what was made."""
        made = self.folder / f"{self.name}.db"
        if not made.exists():
            run_apart(self._made(f"sqlite:///{made}"))
        shutil.copy(made, file)
        return f"sqlite:///{file}"

    def on_postgresql(self, server: PostgresServer) -> str:
        """The URL of the one database, in which nothing is but its tables: emptying is much faster than making."""
        url = server.url_for(self.name)
        if self._server is None:
            server.create_database(self.name)
            run_apart(self._made(url))
            self._server = server
        else:
            run_apart(self._emptied(url))
        return url

    def drop(self) -> None:
        # A server of our own may be gone by now, with all that it held.
        if self._server is not None and self._server.answers():
            self._server.drop_database(self.name)

    async def _made(self, url: str) -> None:
        database = Database(url)
        await self.make(database)
        await database.close()

    async def _emptied(self, url: str) -> None:
        connection = await asyncpg.connect(url, timeout=30)
        try:
            await connection.execute(self._deletions)
        finally:
            await connection.close()

    @cached_property
    def _deletions(self) -> str:
        return ";".join(f"DELETE FROM {table.name}" for table in reversed(self.tables.sorted_tables))


async def holds(database: Database, table: str) -> bool:
    """Whether the database has the table."""
    known = {"postgresql": "SELECT to_regclass(:table)", "sqlite": "SELECT 1 FROM sqlite_master WHERE name = :table"}
    async with database.driver.reading() as line:
        found = (await line.run(sa.text(known[database.dialect]), {"table": table})).first()
    return found is not None and found[0] is not None


@contextmanager
def beginnings(
    name: str, own: sa.MetaData, make: Callable[[Database], Awaitable[object]], folder: Path
) -> Iterator[Beginnings]:
    """Of the service with its `own` tables and the kit's."""
    found = Beginnings(f"{name}_{new_id().hex}", migrations.merged(own), make, folder)
    yield found
    found.drop()


@contextmanager
def migrated(name: str, own: sa.MetaData, revisions: Path, folder: Path) -> Iterator[Beginnings]:
    """Made by the migrations in that folder."""
    with beginnings(name, own, lambda database: migrations.upgrade(database, revisions), folder) as found:
        yield found
