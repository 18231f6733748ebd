"""Transactions on SQLite that share a COMMIT: each keeps or loses its own, and none is answered before it lasts."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.kit.db import Database, DatabaseAway
from shared.kit.on_sqlite import OnSqlite
from tests.infrastructure.waiting import eventually
from tests.kit.support import create_tables, parcels


class NotWanted(Conflict):
    """Not wanted."""


class Commits:
    """Stands in for the COMMIT: counts, waits for `go_on`, and fails with `failure` if there is one."""

    def __init__(self, driver: OnSqlite) -> None:
        self._commit = driver._commit
        self._rollback = driver._writer.connection.rollback
        self.count = 0
        self.go_on = threading.Event()
        self.failure: Exception | None = None

    def __call__(self) -> None:
        self.count += 1
        assert self.go_on.wait(10)
        if self.failure is not None and self.count > 1:
            self._rollback()
            raise self.failure
        self._commit()


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    found = Database(sqlite_url)
    await create_tables(found)
    yield found
    await found.close()


@pytest.fixture
def commits(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commits]:
    assert isinstance(database.driver, OnSqlite)
    commits = Commits(database.driver)
    monkeypatch.setattr(database.driver, "_commit", commits)
    yield commits
    commits.go_on.set()


async def write(database: Database, label: str, *, fails_with: Exception | None = None, ends: bool = False) -> None:
    async with database.transaction() as tx:
        await tx.insert(parcels, {"id": new_id(), "label": label})
        if ends:
            await tx.execute(sa.text("ROLLBACK"))
        if fails_with is not None:
            raise fails_with


async def behind_a_commit(database: Database, commits: Commits, *writes: Any) -> list[asyncio.Task[None]]:
    """The tasks of `writes`, all waiting while a first transaction commits: they make one group."""
    first = asyncio.create_task(write(database, "first"))

    async def committing() -> bool:
        return commits.count == 1

    await eventually(committing)
    tasks = [asyncio.create_task(one) for one in writes]
    for _turn in range(3):
        await asyncio.sleep(0)
    commits.go_on.set()
    await first
    return tasks


async def labels(database: Database) -> list[str]:
    async with database.reading() as reader:
        return [row.label for row in await reader.rows(sa.select(parcels.c.label).order_by(parcels.c.label))]


async def test_those_who_wait_while_another_commits_share_the_next_commit(database: Database, commits: Commits) -> None:
    tasks = await behind_a_commit(database, commits, *(write(database, f"{number:02}") for number in range(20)))
    await asyncio.gather(*tasks)
    assert commits.count == 2
    assert len(await labels(database)) == 21


async def test_a_lone_transaction_waits_for_nobody(database: Database, commits: Commits) -> None:
    commits.go_on.set()
    await write(database, "one")
    await write(database, "two")
    assert commits.count == 2
    assert await labels(database) == ["one", "two"]


async def test_a_refused_transaction_takes_only_its_own_changes_back(database: Database, commits: Commits) -> None:
    refused = write(database, "refused", fails_with=NotWanted())
    tasks = await behind_a_commit(database, commits, write(database, "a"), refused, write(database, "b"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), NotWanted, type(None)]
    assert await labels(database) == ["a", "b", "first"]
    assert commits.count == 2


async def test_a_refused_first_transaction_leaves_the_others_theirs(database: Database, commits: Commits) -> None:
    refused = write(database, "refused", fails_with=NotWanted())
    tasks = await behind_a_commit(database, commits, refused, write(database, "a"), write(database, "b"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotWanted, type(None), type(None)]
    assert await labels(database) == ["a", "b", "first"]


async def test_a_commit_that_fails_fails_every_transaction_that_shared_it(database: Database, commits: Commits) -> None:
    """The refusal as well: what it was decided on never came to be."""
    commits.failure = DatabaseAway()
    refused = write(database, "refused", fails_with=NotWanted())
    tasks = await behind_a_commit(database, commits, write(database, "a"), refused, write(database, "b"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseAway] * 3
    assert await labels(database) == ["first"]
    commits.failure = None
    await write(database, "afterwards")
    assert await labels(database) == ["afterwards", "first"]


async def test_a_transaction_that_sqlite_gave_up_takes_its_group_with_it(database: Database, commits: Commits) -> None:
    """As it may do when the disk is full: what follows must not run outside a transaction."""
    given_up = write(database, "given up", ends=True, fails_with=DatabaseAway())
    tasks = await behind_a_commit(database, commits, write(database, "a"), given_up, write(database, "b"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseAway, DatabaseAway, type(None)]
    assert await labels(database) == ["b", "first"]


async def test_who_is_cancelled_before_its_group_commits_ends_when_it_has(database: Database, commits: Commits) -> None:
    tasks = await behind_a_commit(database, commits, write(database, "cancelled"), write(database, "b"))
    commits.go_on.clear()

    async def committing() -> bool:
        return commits.count == 2

    await eventually(committing)
    tasks[0].cancel()
    for _turn in range(5):
        await asyncio.sleep(0)
    assert not tasks[0].done()
    commits.go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, type(None)]
    assert await labels(database) == ["b", "cancelled", "first"]


async def test_who_is_cancelled_inside_its_transaction_leaves_the_group_whole(
    database: Database, commits: Commits
) -> None:
    inside = asyncio.Event()

    async def write_and_wait() -> None:
        async with database.transaction() as tx:
            await tx.insert(parcels, {"id": new_id(), "label": "cancelled"})
            inside.set()
            await asyncio.Event().wait()

    tasks = await behind_a_commit(database, commits, write(database, "a"), write_and_wait(), write(database, "b"))
    await inside.wait()
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]
    assert await labels(database) == ["a", "b", "first"]


async def test_a_migration_that_comes_in_between_sees_what_was_done_before_it(
    database: Database, commits: Commits
) -> None:
    async def migrate() -> None:
        counted = sa.select(sa.func.count()).select_from(parcels)
        assert await database.run_sync(lambda connection: connection.execute(counted).scalar()) == 2
        assert await labels(database) == ["a", "first"]

    tasks = await behind_a_commit(database, commits, write(database, "a"), migrate(), write(database, "b"))
    await asyncio.gather(*tasks)
    assert await labels(database) == ["a", "b", "first"]


async def test_what_is_done_lasts_when_the_database_is_closed_behind_it(database: Database, commits: Commits) -> None:
    tasks = await behind_a_commit(database, commits, write(database, "a"), database.close())
    await asyncio.gather(*tasks)
    again = Database(str(database.url))
    try:
        assert await labels(again) == ["a", "first"]
    finally:
        await again.close()
