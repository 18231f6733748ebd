"""Lending connections: nobody waits for ever, nothing is lost when somebody is cut off, and a commit is a commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import sqlalchemy as sa

from shared.kit.db import Database, DatabaseAway
from shared.kit.on_postgresql import OnPostgresql
from tests.infrastructure.waiting import eventually
from tests.kit.support import count, parcels
from tests.kit.test_db import a_parcel

BACKEND = sa.text("SELECT pg_backend_pid() AS pid")


@pytest.fixture
async def narrow(postgres_database: Database) -> AsyncIterator[Database]:
    """The same database over two connections."""
    database = Database(postgres_database.url.render_as_string(hide_password=False), pool_size=2)
    yield database
    await database.close()


def lent(database: Database) -> int:
    assert isinstance(database.driver, OnPostgresql)
    return database.driver.lent


async def backend(database: Database) -> int:
    async with database.reading() as reader:
        pid: int = await reader.scalar(BACKEND)
        return pid


async def test_more_than_there_are_connections_take_turns(narrow: Database) -> None:
    pids = await asyncio.gather(*(backend(narrow) for _ in range(20)))
    assert len(set(pids)) == 2
    assert lent(narrow) == 0


async def test_who_gets_no_connection_in_time_is_told(narrow: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.kit.on_postgresql.POOL_CHECKOUT_SECONDS", 0.05)
    async with narrow.reading(), narrow.reading():
        with pytest.raises(DatabaseAway):
            await backend(narrow)
    assert await backend(narrow)


async def test_who_stops_waiting_takes_nothing_along(narrow: Database) -> None:
    async with narrow.reading():
        async with narrow.reading():
            waiting = asyncio.create_task(backend(narrow))
            await asyncio.sleep(0)
        # The connection is given to the waiting task and the task is cancelled, in one turn of the loop.
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert await backend(narrow)
    assert lent(narrow) == 0


async def test_a_cut_connection_makes_room_for_a_new_one(narrow: Database, postgres_database: Database) -> None:
    before = {await backend(narrow)}
    async with postgres_database.reading() as killer:
        await killer.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": before.pop()})

    async def works() -> bool:
        with suppress(DatabaseAway):
            return len(await asyncio.gather(backend(narrow), backend(narrow))) == 2
        return False

    await eventually(works, what="new connections")
    assert lent(narrow) == 0


async def test_a_statement_cut_off_leaves_a_clean_connection(narrow: Database) -> None:
    async def write_and_sleep() -> None:
        async with narrow.transaction() as tx:
            await tx.insert(parcels, a_parcel("half done"))
            await tx.execute(sa.text("SELECT pg_sleep(60)"))

    for _ in range(3):
        task = asyncio.create_task(write_and_sleep())
        await eventually(lambda: _sleeps(narrow), what="the statement to run")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert lent(narrow) == 0
    assert await count(narrow) == 0
    async with narrow.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    assert await count(narrow) == 1


async def _sleeps(database: Database) -> bool:
    async with database.reading() as reader:
        found = await reader.scalar(sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
        return bool(found)


async def test_what_has_failed_is_never_taken_for_committed(narrow: Database) -> None:
    async def swallow_a_failure() -> None:
        async with narrow.transaction() as tx:
            await tx.insert(parcels, a_parcel())
            with suppress(sa.exc.DBAPIError):
                await tx.execute(sa.text("SELECT 1 / 0"))

    with pytest.raises(RuntimeError, match="ROLLBACK to COMMIT"):
        await swallow_a_failure()
    assert await count(narrow) == 0
    assert lent(narrow) == 0
