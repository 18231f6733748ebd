"""A row is the same line whatever database it was in, and comes out of the other as it went into the one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deploy.moving.apart import apart_on
from deploy.moving.lines import Digest, kind_of, line_of
from deploy.moving.tables import tables_of
from deploy.services import SERVICES
from shared.kit.db import Database, Instant, big_serial, json_type
from tests.infrastructure.postgres import PostgresServer
from tests.kit.support import fresh_postgres_database

metadata = sa.MetaData()
things = sa.Table(
    "things",
    metadata,
    sa.Column("id", big_serial(), primary_key=True, autoincrement=True),
    sa.Column("uuid", sa.Uuid),
    sa.Column("offset", sa.BigInteger),
    sa.Column("at", Instant),
    sa.Column("day", sa.Date),
    sa.Column("time", sa.Time),
    sa.Column("yes", sa.Boolean),
    sa.Column("bytes", sa.LargeBinary),
    sa.Column("facts", json_type()),
    sa.Column("headers", sa.JSON(none_as_null=True)),
    sa.Column("text", sa.String(200)),
)
COLUMNS = [(column.name, kind_of(column)) for column in things.columns]
ROWS: list[list[Any]] = [
    [
        3, "01a20700-0000-7000-8000-00000000abcd", 2**63 - 1, 1, "2028-02-29", "23:59:59.000001", True,
        "AAECA//+/f8=", {"b": [1, 2.5, None, "é"], "a": {"deep": -0.1}}, [["ce_id", "\u00ff"]], "Größe 世界 'x'",
    ],
    [7, None, -(2**63), 253402300799999998, "9999-12-31", "00:00:00", False, "", "only text", [], ""],
    [9, *[None] * 10],
]  # fmt: skip


@pytest.fixture
async def databases(tmp_path: Path, postgres_server: PostgresServer) -> AsyncIterator[list[Database]]:
    with fresh_postgres_database(postgres_server) as url:
        found = [Database(f"sqlite:///{tmp_path / 'things.db'}"), Database(url)]
        for database in found:
            await database.run_sync(metadata.create_all)
        yield found
        for database in found:
            await database.close()


async def test_rows_of_every_kind_are_the_same_lines_on_both_databases(databases: list[Database]) -> None:
    for database in databases:
        connection = await apart_on(database)
        await connection.begin()
        await connection.fill("things", COLUMNS, ROWS)
        found = [row async for row in connection.rows("things", COLUMNS)]
        await connection.commit()
        await connection.close()
        assert list(map(line_of, found)) == list(map(line_of, ROWS))
        async with database.transaction() as tx:
            await tx.insert(things, {"text": "the next"})
            numbers = await tx.rows(sa.select(things.c.id, things.c.at).order_by(things.c.id))
        assert [row.id for row in numbers] == [3, 7, 9, 10], "what is new is numbered behind what came"
        assert [row.at and row.at.year for row in numbers] == [1970, 9999, None, None]


def test_the_hash_over_rows_knows_every_row_and_no_order() -> None:
    def digest_of(*rows: list[Any]) -> str:
        digest = Digest()
        for row in rows:
            digest.add(line_of(row).encode())
        return digest.text()

    one, two, three = ROWS
    assert digest_of(one, two, three) == digest_of(three, one, two)
    assert len({digest_of(one, two), digest_of(one, two, three), digest_of(one, one, two), digest_of()}) == 4
    assert line_of(json.loads(line_of(one))) == line_of(one)


@pytest.mark.parametrize("service", SERVICES)
def test_every_column_of_every_table_can_be_moved(service: str) -> None:
    assert all(kind_of(column) for table in tables_of(service) for column in table.columns)
