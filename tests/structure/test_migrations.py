"""Migrations are linear, go up and down with data in the tables, and end where the declared tables are."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from shared.kit import migrations, safe_sql
from shared.kit.db import Database
from shared.kit.revision_files import revisions_in, statements_of
from shared.kit.version import VERSION, release
from tests.kit.support import fresh_postgres_database
from tests.structure.house import ROOT, SERVICES, metadata_of

TRIES = 3_000
BOOKKEEPING = "alembic_version"


def folder_of(service: str) -> Path:
    return ROOT / "services" / service / "migrations"


def revisions_of(service: str) -> list[str]:
    """Oldest first."""
    script = ScriptDirectory(str(folder_of(service)))
    return [revision.revision for revision in script.walk_revisions()][::-1]


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        found = Database(f"sqlite:///{tmp_path / 'service.db'}")
        yield found
        await found.close()
        return
    with fresh_postgres_database(request.getfixturevalue("postgres_server")) as url:
        found = Database(url)
        yield found
        await found.close()


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_are_one_numbered_line(service: str) -> None:
    script = ScriptDirectory(str(folder_of(service)))
    assert len(script.get_heads()) == 1
    names = sorted(path.name for path in (folder_of(service) / "versions").glob("*.py") if path.stem != "__init__")
    assert all(re.fullmatch(r"\d{4}_[a-z]+(_[a-z0-9]+)+\.py", name) for name in names), "number, verb, object"
    assert revisions_of(service) == [f"{number:04}" for number in range(1, len(names) + 1)]
    assert [name[:4] for name in names] == revisions_of(service)


@pytest.mark.parametrize("service", SERVICES)
def test_a_migration_imports_no_declared_table(service: str) -> None:
    versions = (folder_of(service) / "versions").glob("*.py")
    assert not [path.name for path in versions if re.search(r"from services\.|import services\.", path.read_text())]


@pytest.mark.parametrize("service", SERVICES)
def test_a_revision_is_safe_beside_the_traffic_of_its_phase(service: str) -> None:
    """The first has no table before it, so there is nothing that it could break."""
    folder = folder_of(service)
    first, *later = revisions_in(folder)
    assert first.phase == "expand"
    for before, step in pairwise([first, *later]):
        safe_sql.insist_safe(step, statements_of(folder, step, before=before.number, dialect="postgresql"))
        assert statements_of(folder, step, before=before.number, dialect="sqlite")


@pytest.mark.parametrize("service", SERVICES)
def test_a_contract_revision_takes_away_what_this_release_does_without(service: str) -> None:
    floors = [step.oldest_version for step in revisions_in(folder_of(service)) if step.oldest_version is not None]
    assert all(release(floor) <= release(VERSION) for floor in floors)


@pytest.mark.parametrize("service", SERVICES)
async def test_migrations_go_up_and_down_with_data_and_leave_no_drift(service: str, database: Database) -> None:
    folder, chance = folder_of(service), random.Random(service)
    declared = {table.name for table in migrations.merged(metadata_of(service)).tables.values()}
    for revision in revisions_of(service):
        await migrations.upgrade(database, folder, revision, contract=True)
        await fill(database, chance)
    assert await migrations.drift(database, metadata_of(service)) == []
    assert set(await rows_in(database)) == declared
    for revision in [*revisions_of(service)[-2::-1], "base"]:
        await migrations.downgrade(database, folder, revision)
        assert all(number > 0 for number in (await rows_in(database)).values()), "a step down emptied a table"
    assert await rows_in(database) == {}
    await migrations.upgrade(database, folder, contract=True)
    assert await migrations.pending(database, folder) == []
    assert await migrations.drift(database, metadata_of(service)) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_table_that_is_not_migrated_is_drift(service: str, database: Database) -> None:
    await migrations.upgrade(database, folder_of(service))
    stray = sa.MetaData()
    for table in metadata_of(service).tables.values():
        table.to_metadata(stray)
    sa.Table("not_migrated", stray, sa.Column("id", sa.Integer, primary_key=True))
    assert await migrations.drift(database, stray)


async def rows_in(database: Database) -> dict[str, int]:
    def counted(connection: sa.Connection) -> dict[str, int]:
        names = sa.inspect(connection).get_table_names()
        return {name: _count(connection, name) for name in names if name != BOOKKEEPING}

    found: dict[str, int] = await database.run_sync(counted)
    return found


async def fill(database: Database, chance: random.Random) -> None:
    """Put a row into every table that is empty, whatever its constraints ask for."""

    def work(connection: sa.Connection) -> None:
        found = sa.MetaData()
        found.reflect(connection)
        for table in found.sorted_tables:
            if table.name != BOOKKEEPING and _count(connection, table.name) == 0:
                _insert_some_row(connection, table, chance)

    await database.run_sync(work)


def _count(connection: sa.Connection, name: str) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one()


def _insert_some_row(connection: sa.Connection, table: sa.Table, chance: random.Random) -> None:
    checks = sa.inspect(connection).get_check_constraints(table.name)
    texts = [str(check["sqltext"]) for check in checks]
    words = {
        column.name: [
            word for text in texts if re.search(rf"\b{column.name}\b", text) for word in re.findall(r"'([^']*)'", text)
        ]
        for column in table.columns
    }
    refused = ""
    for _ in range(TRIES):
        emptiness = chance.choice([0.0, 0.5, 1.0])
        row = {
            column.name: _some_value(connection, column, words[column.name], chance, emptiness)
            for column in table.columns
        }
        savepoint = connection.begin_nested()
        try:
            connection.execute(sa.insert(table).values(row))
        except sa.exc.DBAPIError as error:
            savepoint.rollback()
            refused = str(error.orig)
        else:
            savepoint.commit()
            return
    pytest.fail(f"{TRIES} rows made up for {table.name} were all refused, the last one by: {refused}")


def _some_value(
    connection: sa.Connection, column: sa.Column[Any], words: list[str], chance: random.Random, emptiness: float
) -> Any:
    if column.nullable and chance.random() < emptiness:
        return None
    for key in column.foreign_keys:
        if key.column.table is column.table:
            continue  # the first row has none of its own kind to refer to
        return connection.execute(sa.select(key.column).limit(1)).scalar()
    return _of_type(column.type, words, chance)


def _of_type(kind: sa.types.TypeEngine[Any], words: list[str], chance: random.Random) -> Any:
    if isinstance(kind, sa.Uuid):
        return uuid.UUID(int=chance.getrandbits(128))
    if isinstance(kind, sa.Boolean):
        return chance.random() < 0.5
    if isinstance(kind, sa.Integer):
        return chance.choice([0, 1, 1, 2, 30, 100])
    if isinstance(kind, sa.Numeric):
        return Decimal(chance.choice([0, 1, 19]))
    if isinstance(kind, sa.DateTime):
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=chance.choice([0, 1, 2]))
    if isinstance(kind, sa.Date):
        return datetime(2030, 1, 1, tzinfo=UTC).date()
    if isinstance(kind, sa.Time):
        return datetime(2030, 1, 1, 12, tzinfo=UTC).time()
    if isinstance(kind, sa.JSON):
        return chance.choice([{}, []])
    if isinstance(kind, sa.LargeBinary):
        return b"bytes"
    if isinstance(kind, sa.String):
        return _text(kind.length or 20, words, chance)
    raise NotImplementedError(f"no made-up value for {kind!r}")


def _text(length: int, words: list[str], chance: random.Random) -> str:
    fitting = [word for word in words if len(word) <= length]
    made_up = "".join(chance.choices("0123456789abcdef", k=length))
    return chance.choice([*fitting, made_up, made_up])
