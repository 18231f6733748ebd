"""Whoever waits is woken by what others commit, and left in peace by what changes nothing for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared.kit.bus.doorbell import OUTBOX, Doorbell
from shared.kit.db import Database
from shared.kit.on_sqlite import OnSqlite


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/service.db")
    await database.run_sync(lambda connection: connection.execute(sa.text("CREATE TABLE notes (number INTEGER)")))
    yield database
    await database.close()


@pytest.fixture
async def theirs(ours: Database) -> AsyncIterator[Database]:
    """The same file, opened once more, as another process would."""
    database = Database(ours.url.render_as_string())
    yield database
    await database.close()


async def write(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(sa.text("INSERT INTO notes VALUES (1)"))


def version(database: Database) -> int | None:
    assert isinstance(database.driver, OnSqlite)
    return database.driver.version_by_others()


async def test_only_what_others_commit_counts(ours: Database, theirs: Database) -> None:
    before = version(ours)
    await write(ours)
    assert version(ours) == before, "renewing a lease would wake all who wait"
    await write(theirs)
    assert version(ours) != before


async def test_nobody_looks_at_a_file_in_the_middle_of_our_own_transaction(ours: Database) -> None:
    async with ours.transaction():
        assert version(ours) is None
    assert version(ours) is not None


async def test_another_process_wakes_who_waits(ours: Database, theirs: Database) -> None:
    doorbell = Doorbell(ours, OUTBOX)
    async with doorbell.heard() as rung:
        # The first look rings as well.
        await asyncio.wait_for(rung.wait(), 10)
        for _ in range(3):
            rung.clear()
            await write(theirs)
            await asyncio.wait_for(rung.wait(), 10)
