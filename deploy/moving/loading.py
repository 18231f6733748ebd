"""Puts the rows of a backup into one empty database and finds them there again, all in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from deploy.moving.apart import Apart, Columns, apart_on
from deploy.moving.lines import Digest, kind_of, line_of, read_lines
from deploy.moving.manifest import NotWhole, PackedService, PackedTable
from deploy.moving.mark import LOADED
from deploy.moving.tables import STAYS, hashed_line
from deploy.progress import Progress
from deploy.services import topics_of
from shared.kernel.errors import Conflict
from shared.kit.bus.log import Partition
from shared.kit.bus.tables import consumer_offsets, parked_events
from shared.kit.db import Database

MIGRATIONS = {"alembic_version"}

PlaceOf = Callable[[str, str], int]
"""The partition of a topic's key on the log that is there now."""


class TargetNotEmpty(Conflict):
    """A backup is restored into empty databases."""


class NotAsPacked(NotWhole):
    """The database does not hold what was put into it."""


@dataclass(frozen=True)
class LogNow:
    """The log as the restored services will read it: where it ended before the restore, and where keys belong."""

    ends: Mapping[Partition, int]
    place_of: PlaceOf


async def insist_on_empty(database: Database, service: str) -> None:
    """Raises TargetNotEmpty. What a process leaves that has only started does not count."""

    def first_that_is_not(connection: Connection) -> str | None:
        for name in sorted(set(sa.inspect(connection).get_table_names()) - STAYS - MIGRATIONS):
            if connection.execute(sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1)).first():
                return name
        return None

    found = await database.run_sync(first_that_is_not)
    if found is not None:
        raise TargetNotEmpty(
            f"The database of {service} is not empty ({found} has rows), and a backup is restored into "
            f"new databases only: make one and name it in MAINSTAY_{service.upper()}_DATABASE_URL."
        )


async def load(database: Database, folder: Path, packed: PackedService, log: LogNow, progress: Progress) -> None:
    """Rows, offsets and the mark `loaded`, or nothing; raises NotAsPacked, DatabaseAway, NoRoom.

    Whatever the tables hold is removed first: the caller knows that it is the rest of an earlier try.
    """
    connection = await apart_on(database)
    try:
        await connection.begin()
        for table in reversed(packed.tables):
            await connection.run(f'DELETE FROM "{table.name}"')  # noqa: S608
        await connection.run(f'DELETE FROM "{consumer_offsets.name}"')  # noqa: S608
        for table in packed.tables:
            progress.begin(f"Filling {packed.name}.{table.name}")
            await connection.fill(table.name, table.columns, _rows(folder, table, log, progress))
        await connection.fill(consumer_offsets.name, _OFFSETS, _offsets(packed, log))
        for table in packed.tables:
            progress.begin(f"Verifying {packed.name}.{table.name}")
            await _verify(connection, packed.name, table, progress)
        await connection.run(LOADED)
        await connection.commit()
    finally:
        await connection.close()


async def _verify(connection: Apart, service: str, table: PackedTable, progress: Progress) -> None:
    digest = Digest()
    hashed = hashed_line(table.name, [name for name, _ in table.columns])
    async for row in connection.rows(table.name, table.columns):
        digest.add(hashed(row, line_of(row).encode()))
        progress.at(digest.rows, table.file.lines)
    if digest.rows != table.file.lines:
        raise NotAsPacked(f"{service}.{table.name} has {digest.rows} rows, the backup {table.file.lines}.")
    if digest.text() != table.digest:
        raise NotAsPacked(f"The rows of {service}.{table.name} are not those of the backup: their hash differs.")


def _rows(folder: Path, table: PackedTable, log: LogNow, progress: Progress) -> Iterator[Sequence[Any]]:
    placed = _placed(table, log) if table.name == parked_events.name else None
    for number, line in enumerate(read_lines(folder / table.file.path)):
        row = json.loads(line)
        progress.at(number, table.file.lines)
        yield placed(row, number) if placed else row


def _placed(table: PackedTable, log: LogNow) -> Callable[[list[Any], int], list[Any]]:
    """A parked event belongs to the partition in which its key goes on, at an offset that the log never has.

    Below zero, and in the order that they had: of events with one number the offset says which is first.
    """
    names = [name for name, _ in table.columns]
    topic, key, partition, offset = (names.index(name) for name in ("topic", "key", "partition", "offset"))

    def place(row: list[Any], number: int) -> list[Any]:
        row[partition] = log.place_of(row[topic], row[key])
        row[offset] = number - table.file.lines
        return row

    return place


_OFFSETS: Columns = [(column.name, kind_of(column)) for column in consumer_offsets.columns]


def _offsets(packed: PackedService, log: LogNow) -> Iterator[Sequence[Any]]:
    """The consumer begins where the log ended before the backup's records were put behind it.

    Whether it has seen the beginning of a topic, and so takes an unknown number for a gap, stays as it was.
    """
    began_later = {topic for topic, _partition, _next, start in packed.offsets if start > 0}
    for topic, partition in sorted(log.ends):
        if topic in topics_of(packed.name):
            end = log.ends[Partition(topic, partition)]
            start = max(end, 1) if topic in began_later else 0
            yield packed.name, topic, partition, end, start
