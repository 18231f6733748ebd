"""One connection apart to a database: it keeps writers out for a moment, reads one instant, or fills tables."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

import asyncpg

from deploy.moving.lines import FROM_DATABASE, TO_DATABASE, Kind, converter
from deploy.moving.tables import IN_ORDER
from shared.kit.database_trouble import LockedByAnother, translated
from shared.kit.db import Database
from shared.kit.on_postgresql import PostgresqlLine
from shared.kit.on_sqlite import SqliteLine

ROWS_AT_ONCE = 1_000
CLOSE_SECONDS = 1.0
LONGEST_COPY_SECONDS = 7 * 24 * 3600.0

Columns = Sequence[tuple[str, Kind]]
Line = Sequence[Any]
"""A row as its line holds it."""


class Apart(Protocol):
    """`line` is for a Reader; JSON comes as text over it."""

    line: Any

    async def lock(self, tables: Sequence[str], seconds: float) -> None:
        """Keep everybody from writing to the tables until `close`; raises LockedByAnother after `seconds`."""
        ...

    async def look(self) -> None:
        """From now on read what is committed at this instant."""
        ...

    def rows(self, table: str, columns: Columns) -> AsyncIterator[list[Any]]:
        """Every row, in the order of IN_ORDER; after `look` or `begin`."""
        ...

    async def begin(self) -> None:
        """Begin to write."""
        ...

    async def run(self, statement: str) -> None: ...

    async def fill(self, table: str, columns: Columns, rows: Iterable[Line]) -> None:
        """Add rows, and let new ones be numbered behind them."""
        ...

    async def commit(self) -> None: ...

    async def close(self) -> None:
        """What was not committed is gone."""
        ...


async def apart_on(database: Database) -> Apart:
    """Raises DatabaseAway."""
    line = await database.driver.apart()
    if isinstance(line, SqliteLine):
        return ApartOnSqlite(line)
    for kind in ("json", "jsonb"):
        # COPY is binary, which what reads the text form does not know.
        await line.connection.reset_type_codec(kind, schema="pg_catalog")
    return ApartOnPostgresql(line)


class ApartOnPostgresql:
    def __init__(self, line: PostgresqlLine) -> None:
        self.line = line
        self._transaction: Any = None

    async def lock(self, tables: Sequence[str], seconds: float) -> None:
        await self.begin()
        await self.run(f"SET LOCAL statement_timeout = {_milliseconds(seconds)}")
        try:
            # EXCLUSIVE lets readers pass, and nobody who writes or locks a row.
            await self.line.connection.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
        except asyncpg.QueryCanceledError:
            raise LockedByAnother() from None

    async def look(self) -> None:
        with translated():
            self._transaction = self.line.connection.transaction(isolation="repeatable_read", readonly=True)
            await self._transaction.start()
        # The first statement makes the snapshot, not the BEGIN.
        await self.run("SELECT 1")

    async def rows(self, table: str, columns: Columns) -> AsyncIterator[list[Any]]:
        convert = converter(FROM_DATABASE["postgresql"], [kind for _, kind in columns])
        with translated():
            async for row in self.line.connection.cursor(
                _select(table, columns, ' COLLATE "C"'), prefetch=ROWS_AT_ONCE
            ):
                yield convert(row)

    async def begin(self) -> None:
        with translated():
            self._transaction = self.line.connection.transaction()
            await self._transaction.start()

    async def run(self, statement: str) -> None:
        with translated():
            await self.line.connection.execute(statement)

    async def fill(self, table: str, columns: Columns, rows: Iterable[Line]) -> None:
        convert = converter(TO_DATABASE["postgresql"], [kind for _, kind in columns])
        names = [name for name, _ in columns]
        with translated():
            await self.line.connection.copy_records_to_table(
                table, records=map(convert, rows), columns=names, timeout=LONGEST_COPY_SECONDS
            )
            if ("id", "integer") in columns:
                await self.line.connection.execute(_NUMBER_ON.format(table=table))

    async def commit(self) -> None:
        with translated():
            await self._transaction.commit()

    async def close(self) -> None:
        try:
            await self.line.connection.close(timeout=CLOSE_SECONDS)
        except Exception:
            self.line.connection.terminate()


class ApartOnSqlite:
    def __init__(self, line: SqliteLine) -> None:
        self.line = line

    async def lock(self, tables: Sequence[str], seconds: float) -> None:
        """The whole file: it has one writer."""
        with translated():
            self.line.connection.execute(f"PRAGMA busy_timeout={_milliseconds(seconds)}")
            await asyncio.to_thread(self.line.connection.execute, "BEGIN IMMEDIATE")

    async def look(self) -> None:
        await self.run("BEGIN")
        with translated():
            # The first statement makes the snapshot, not the BEGIN.
            self.line.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()

    async def rows(self, table: str, columns: Columns) -> AsyncIterator[list[Any]]:
        convert = converter(FROM_DATABASE["sqlite"], [kind for _, kind in columns])
        with translated():
            for row in self.line.connection.execute(_select(table, columns, "")):
                yield convert(row)

    async def begin(self) -> None:
        await self.run("BEGIN IMMEDIATE")

    async def run(self, statement: str) -> None:
        with translated():
            self.line.connection.execute(statement)

    async def fill(self, table: str, columns: Columns, rows: Iterable[Line]) -> None:
        convert = converter(TO_DATABASE["sqlite"], [kind for _, kind in columns])
        names = ", ".join(f'"{name}"' for name, _ in columns)
        insert = f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(columns))})'  # noqa: S608
        converted = map(convert, rows)
        with translated():
            while batch := list(islice(converted, ROWS_AT_ONCE)):
                self.line.connection.executemany(insert, batch)

    async def commit(self) -> None:
        with translated():
            self.line.connection.execute("COMMIT")

    async def close(self) -> None:
        with suppress(sqlite3.Error):
            self.line.connection.close()


def _milliseconds(seconds: float) -> int:
    return max(int(seconds * 1000), 1)


def _select(table: str, columns: Columns, in_bytes: str) -> str:
    kinds = dict(columns)
    order = [
        f'"{name}"{in_bytes if kinds[name] == "text" else ""}' for name in IN_ORDER.get(table, ()) if name in kinds
    ]
    names = ", ".join(f'"{name}"' for name in kinds)
    return f'SELECT {names} FROM "{table}"' + (f" ORDER BY {', '.join(order)}" if order else "")  # noqa: S608


# What a sequence has given out before stays given out: an empty table begins at 1, another behind its last.
_NUMBER_ON = """
SELECT setval(sequence, coalesce(last, 1), last IS NOT NULL)
FROM (SELECT pg_get_serial_sequence('"{table}"', 'id') AS sequence, (SELECT max(id) FROM "{table}") AS last) AS found
WHERE sequence IS NOT NULL
"""
