"""One explicit transaction: what is stored, when, and what happens to those who are cut off in the middle."""

import asyncio
import contextlib
import sqlite3
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError, OperationalError

from shared.kernel.clock import SystemClock
from shared.kernel.ids import new_id
from shared.kit.db import Database, DatabaseAway, Instant, LockedByAnother, OutcomeUnknown, Transaction
from shared.kit.on_sqlite import OnSqlite
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.waiting import eventually
from tests.kit.support import count, create_tables, parcels


def a_parcel(label: str = "a book", **others: Any) -> dict[str, Any]:
    return {"id": new_id(), "label": label, **others}


async def labels(database: Database) -> list[str]:
    async with database.reading() as reader:
        return [row.label for row in await reader.rows(sa.select(parcels.c.label).order_by(parcels.c.label))]


async def test_what_a_transaction_wrote_is_there_afterwards(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    assert await labels(database) == ["a book"]


async def test_an_exception_takes_everything_back(database: Database) -> None:
    async def write_and_fail() -> None:
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    assert await labels(database) == []


async def test_nobody_else_sees_a_row_before_the_commit(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
        assert await labels(database) == []


async def test_a_commit_hook_writes_in_the_same_transaction(database: Database) -> None:
    async def add_another(tx: Transaction) -> None:
        await tx.insert(parcels, a_parcel("from the hook"))

    database.commit_hooks.append(add_another)
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    assert await labels(database) == ["a book", "from the hook"]


async def test_a_failing_commit_hook_takes_everything_back(database: Database) -> None:
    async def fail(_tx: Transaction) -> None:
        raise RuntimeError("no room in the outbox")

    database.commit_hooks.append(fail)
    with pytest.raises(RuntimeError, match="no room"):
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel())
    assert await labels(database) == []


async def test_callbacks_run_after_a_commit_only(database: Database) -> None:
    called: list[str] = []
    async with database.transaction() as tx:
        tx.after_commit(lambda: called.append("committed"))
        assert called == []
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction() as tx:
            tx.after_commit(lambda: called.append("rolled back"))
            raise ZeroDivisionError
    assert called == ["committed"]


async def test_the_doorbell_rings_for_facts_and_for_nothing_else(database: Database) -> None:
    rung: list[int] = []
    database.doorbells.append(lambda: rung.append(1))
    async with database.transaction():
        pass
    assert rung == []
    async with database.transaction() as tx:
        tx.publish(object())
    assert rung == [1]


async def test_a_commit_that_fails_stores_nothing_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel("on no shelf", shelf_id=7))
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    assert await labels(database) == ["a book"]


async def test_two_tasks_that_add_to_the_same_row_lose_nothing(database: Database) -> None:
    parcel = a_parcel(weight=1)
    async with database.transaction() as tx:
        await tx.insert(parcels, parcel)

    async def add_one() -> None:
        async with database.transaction() as tx:
            row = await tx.row(sa.select(parcels).where(parcels.c.id == parcel["id"]).with_for_update())
            assert row is not None
            await asyncio.sleep(0)
            await tx.execute(sa.update(parcels).where(parcels.c.id == parcel["id"]).values(weight=row.weight + 1))

    await asyncio.gather(*(add_one() for _ in range(8)))
    async with database.reading() as reader:
        assert await reader.scalar(sa.select(parcels.c.weight)) == 9


async def test_a_task_cancelled_between_statements_stores_nothing(database: Database) -> None:
    wrote = asyncio.Event()

    async def write_and_wait() -> None:
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel("half done"))
            wrote.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_and_wait())
    await wrote.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    assert await labels(database) == ["a book"]


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_a_task_cancelled_during_its_commit_leaves_the_writer_free_of_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, cancellations: int
) -> None:
    database = Database(sqlite_url)
    await create_tables(database)
    committing, go_on = threading.Event(), threading.Event()
    driver = database.driver
    assert isinstance(driver, OnSqlite)
    commit = driver._commit

    def slow_commit() -> None:
        committing.set()
        assert go_on.wait(10)
        commit()

    async def write(label: str) -> None:
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel(label))

    monkeypatch.setattr(driver, "_commit", slow_commit)
    first = asyncio.create_task(write("cancelled while committing"))
    await asyncio.to_thread(committing.wait, 10)
    monkeypatch.setattr(driver, "_commit", commit)
    second = asyncio.create_task(write("next"))
    for _ in range(cancellations):
        first.cancel()
        for _turn in range(5):
            await asyncio.sleep(0)
    assert not second.done(), "the writer was handed on while its commit was under way"
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert await labels(database) == ["cancelled while committing", "next"]
    await database.close()


async def test_a_task_cancelled_while_another_process_writes_leaves_no_transaction_open(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    await create_tables(database)
    other = sqlite3.connect(str(database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    reached: list[str] = []

    async def write() -> None:
        async with database.transaction():
            reached.append("inside")

    task = asyncio.create_task(write())
    await eventually(lambda: _is_writing(database))
    task.cancel()
    for _turn in range(5):
        await asyncio.sleep(0)
    other.execute("COMMIT")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached == []
    other.execute("PRAGMA busy_timeout=0")
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    assert await count(database) == 1
    await database.close()


async def _is_writing(database: Database) -> bool:
    assert isinstance(database.driver, OnSqlite)
    return database.driver._lock.locked()


async def test_a_writer_waits_for_another_process_that_writes_the_same_file(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    await create_tables(database)
    other = sqlite3.connect(str(database.url.database), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel())

    task = asyncio.create_task(write())
    await eventually(lambda: _is_writing(database))
    other.execute("COMMIT")
    other.close()
    await task
    assert await count(database) == 1
    await database.close()


async def test_a_file_locked_for_too_long_is_refused_as_locked_by_another(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.on_sqlite.BUSY_SECONDS", 0)
    database = Database(sqlite_url)
    await create_tables(database)
    other = sqlite3.connect(str(database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockedByAnother):
        async with database.transaction():
            pass
    other.close()
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    await database.close()


async def test_a_row_locked_for_too_long_is_refused_as_locked_by_another(
    postgres_database: Database,
) -> None:
    database = postgres_database
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    query = sa.select(parcels.c.id).with_for_update()

    async def lock_impatiently() -> None:
        async with database.transaction() as other:
            await other.execute(sa.text("SET LOCAL lock_timeout = '20ms'"))
            await other.rows(query)

    async with database.transaction() as tx:
        await tx.rows(query)
        with pytest.raises(LockedByAnother):
            await lock_impatiently()


async def test_a_database_that_is_not_there_is_away() -> None:
    database = Database("postgresql://nobody:nothing@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseAway):
        async with database.transaction():
            pass
    with pytest.raises(DatabaseAway):
        async with database.reading():
            pass
    with pytest.raises(DatabaseAway):
        await database.real_now()
    await database.close()


async def test_a_connection_that_is_cut_is_away_and_the_next_transaction_works(postgres_database: Database) -> None:
    database = postgres_database

    async def write_over_a_cut_connection() -> None:
        async with database.transaction() as tx:
            pid = await tx.scalar(sa.text("SELECT pg_backend_pid()"))
            async with database.transaction() as killer:
                await killer.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            await tx.insert(parcels, a_parcel())

    with pytest.raises(DatabaseAway):
        await write_over_a_cut_connection()
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel())
    assert await count(database) == 1


async def test_a_connection_cut_at_the_commit_leaves_the_outcome_unknown(postgres_database: Database) -> None:
    database = postgres_database

    async def cut(tx: Transaction) -> None:
        database.commit_hooks.clear()
        pid = await tx.scalar(sa.text("SELECT pg_backend_pid()"))
        async with database.transaction() as killer:
            await killer.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    database.commit_hooks.append(cut)
    with pytest.raises(OutcomeUnknown):
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel())


async def test_a_trouble_of_our_own_is_not_taken_for_the_databases(database: Database) -> None:
    for trouble in (FileNotFoundError("a template is missing"), TimeoutError("a third party is slow")):
        with pytest.raises(type(trouble)):
            async with database.transaction():
                raise trouble
        with pytest.raises(type(trouble)):
            async with database.reading():
                raise trouble


async def test_a_statement_that_is_wrong_is_a_fault_and_not_an_absence(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        async with database.reading() as reader:
            await reader.rows(sa.text("SELECT * FROM a_table_nobody_made"))
    with pytest.raises(sa.exc.DBAPIError):
        async with database.transaction() as tx:
            await tx.rows(sa.text("SELECT * FROM a_table_nobody_made"))


async def test_a_table_that_is_made_halfway_is_not_made(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    def half(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE half_made (id INTEGER)"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run_sync(half)
    with pytest.raises(OperationalError):
        async with database.reading() as reader:
            await reader.rows(sa.text("SELECT * FROM half_made"))
    await create_tables(database)
    await database.close()


async def test_inserting_once_says_whether_it_was_new(database: Database) -> None:
    async with database.transaction() as tx:
        assert await tx.insert_once(parcels, a_parcel(), on=["label"])
        assert not await tx.insert_once(parcels, a_parcel(), on=["label"])
        assert not await tx.insert_once(parcels, a_parcel())
    assert await count(database) == 1


async def test_inserting_once_still_refuses_what_another_constraint_refuses(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.transaction() as tx:
            await tx.insert_once(parcels, a_parcel(weight=0), on=["label"])


async def test_an_upsert_changes_only_the_columns_it_names(database: Database) -> None:
    first = a_parcel(weight=1, content={"book": 1})
    async with database.transaction() as tx:
        await tx.upsert(parcels, first, on=["label"], update=["weight"])
        await tx.upsert(parcels, a_parcel(weight=2, content={"book": 2}), on=["label"], update=["weight"])
        row = await tx.row(sa.select(parcels))
    assert row is not None
    assert (row.id, row.weight, row.content) == (first["id"], 2, {"book": 1})


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2030, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2030, 3, 31, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(1901, 12, 13, 20, 45, 52, 1, tzinfo=UTC),
        datetime(8999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
async def test_an_instant_comes_back_to_the_microsecond_in_utc(database: Database, instant: datetime) -> None:
    async with database.transaction() as tx:
        await tx.insert(parcels, a_parcel(arrived_at=instant))
    async with database.reading() as reader:
        found = await reader.scalar(sa.select(parcels.c.arrived_at))
        assert await reader.scalar(sa.select(parcels.c.label).where(parcels.c.arrived_at <= instant)) == "a book"
    assert found == instant
    assert found.utcoffset() == timedelta()


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_instant_survives_sqlites_microseconds(instant: datetime) -> None:
    column = Instant()
    stored = column.process_bind_param(instant, sqlite.dialect())
    assert column.process_result_value(stored, sqlite.dialect()) == instant


async def test_an_instant_without_a_zone_is_not_stored(database: Database) -> None:
    with pytest.raises(ValueError, match="aware"):
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel(arrived_at=datetime(2030, 1, 1)))
    assert await count(database) == 0


@pytest.mark.parametrize("kind", ["reading", "transaction"])
async def test_the_first_instant_is_the_databases_when_the_machines_clock_is_wrong(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(SystemClock, "now", _three_days_late(SystemClock.now))
    database = Database(postgres_server.url)
    async with getattr(database, kind)() as reader:
        theirs = await reader.scalar(sa.text("SELECT clock_timestamp()"))
    assert abs(theirs - reader.now) < timedelta(seconds=5)
    await database.close()


def _three_days_late(now: Callable[[SystemClock], datetime]) -> Callable[[SystemClock], datetime]:
    def late(clock: SystemClock) -> datetime:
        return now(clock) if clock.is_set_within(3600) else now(clock) - timedelta(days=3)

    return late


async def test_an_sqlite_database_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="file"):
        Database("sqlite:///:memory:")


async def test_sqlite_flushes_each_commit_and_keeps_foreign_keys(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a folder' / 'of its own.db'}")
    async with database.transaction() as tx:
        assert await tx.scalar(sa.text("PRAGMA synchronous")) == 2
        assert await tx.scalar(sa.text("PRAGMA foreign_keys")) == 1
        assert await tx.scalar(sa.text("PRAGMA journal_mode")) == "wal"
    await database.close()


async def test_a_failing_statement_does_not_show_its_values(database: Database) -> None:
    name = "-".join(["Ann", "Example"])
    with pytest.raises(IntegrityError) as failed:
        async with database.transaction() as tx:
            await tx.insert(parcels, a_parcel(name, weight=0))
    assert name not in "".join(traceback.format_exception(failed.value))
