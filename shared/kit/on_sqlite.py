"""Transactions on SQLite: statements run inline; a contended BEGIN and the COMMIT hop to a thread (ADRs 0003, 0038)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.engine.url import URL

from shared.kernel.errors import Unavailable
from shared.kit.database_trouble import DatabaseAway, translated
from shared.kit.statements import SQLITE, Outcome, shape_of

BUSY_SECONDS = 5
STATEMENTS_PREPARED = 500

T = TypeVar("T")


class SqliteLine:
    """One connection to the file."""

    __slots__ = ("connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def run(self, statement: Any, parameters: Any) -> Outcome:
        plan, arguments = SQLITE.plan(statement, parameters)
        with translated():
            if isinstance(parameters, list | tuple):
                if plan.changes_rows:
                    return Outcome((), self.connection.executemany(plan.sql, arguments).rowcount)
                found = [row for each in arguments for row in self.connection.execute(plan.sql, each).fetchall()]
                return Outcome((plan.shape or shape_of(())).rows(found), len(found))
            cursor = self.connection.execute(plan.sql, arguments)
            if cursor.description is None:
                return Outcome((), cursor.rowcount)
            found = cursor.fetchall()
        shape = plan.shape or shape_of(tuple(column[0] for column in cursor.description))
        return Outcome(shape.rows(found), len(found))


class Group:
    """Transactions that one COMMIT makes lasting: those that waited for the writer when the first of them was done."""

    __slots__ = ("lasting",)

    def __init__(self) -> None:
        self.lasting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, failure: BaseException | None) -> None:
        if failure is None:
            self.lasting.set_result(None)
        else:
            self.lasting.set_exception(failure)
            self.lasting.exception()  # Whoever waits gets it; nobody need.


class OnSqlite:
    """The database of a service in a file, with one writer and one reader."""

    dialect = "sqlite"

    def __init__(self, url: URL) -> None:
        path = url.database
        if not path or path == ":memory:":
            raise ValueError("an SQLite database is a file here")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with translated():
            self._writer = SqliteLine(_connected(path))
            self._reader = SqliteLine(_connected(path))
        # For migrations, which speak to an SQLAlchemy connection: the writer itself, in its clothes.
        self._engine = sa.create_engine(
            "sqlite://", creator=lambda: self._writer.connection, poolclass=sa.pool.StaticPool, hide_parameters=True
        )
        self._lock = asyncio.Lock()
        self._group: Group | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqliteLine]:
        yield self._reader

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[SqliteLine]:
        """One transaction; it is over when the COMMIT of its group is, and then all of the group lasts or none does."""
        refusal: Exception | None = None
        async with self._lock:
            joined = self._group
            try:
                await self._open(joined)
                yield self._writer
                group = self._leave(joined)
            except Exception as error:
                self._undo(joined, error)
                if joined is None:
                    raise
                refusal, group = error, joined
            except BaseException as error:
                self._undo(joined, error)
                raise
        # A refusal, too, may rest on what an earlier transaction of the group wrote.
        await _to_its_end(group.lasting)
        group.lasting.result()
        if refusal is not None:
            raise refusal

    async def _open(self, joined: Group | None) -> None:
        if joined is None:
            await self._begin()
        else:
            self._writer.connection.execute("SAVEPOINT joined")

    def _leave(self, joined: Group | None) -> Group:
        """Done, and not yet committed: the group is closed by whoever comes after those that wait by now."""
        with translated():
            if joined is not None:
                self._writer.connection.execute("RELEASE joined")
                return joined
        self._group = group = Group()
        self._closing = asyncio.create_task(self._close_after_those_waiting(group))
        return group

    def _undo(self, joined: Group | None, error: BaseException) -> None:
        connection = self._writer.connection
        if joined is not None and connection.in_transaction:
            connection.execute("ROLLBACK TO joined")
            connection.execute("RELEASE joined")
            return
        connection.rollback()
        if joined is not None:  # SQLite itself gave up the whole transaction: as a rule for want of room.
            self._group = None
            joined.settle(error if isinstance(error, Unavailable) else DatabaseAway())

    async def _close_after_those_waiting(self, group: Group) -> None:
        async with self._lock:
            if self._group is group:
                await self._commit_group()

    async def _commit_group(self) -> None:
        """Have what is done last, if anything is; with the lock held."""
        if (group := self._group) is None:
            return
        self._group = None
        outcome = asyncio.get_running_loop().run_in_executor(self._thread, self._commit)
        try:
            await _to_its_end(outcome)
        finally:
            group.settle(outcome.exception())

    async def apart(self) -> SqliteLine:
        """A connection of the caller's own, who closes it; raises DatabaseAway."""
        with translated():
            return SqliteLine(_connected(self._path))

    async def now(self) -> datetime:
        """Everybody who has the file is on this machine."""
        return datetime.now(UTC)

    def version_by_others(self) -> int | None:
        """A number that changes whenever another connection has committed; None while our writer is busy."""
        if self._lock.locked() or self._group is not None:
            return None
        try:
            (version,) = self._writer.connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:
            return None
        return int(version)

    async def run_sync(self, work: Callable[[Connection], T], *, hurried: bool = True) -> T:
        """Nobody is waited for here, so a hurry makes no difference."""
        async with self._lock:
            await self._commit_group()
            connection = self._engine.connect()
            try:
                await self._begin()
                connection.begin()
                with translated():
                    result = work(connection)
                self._commit()
                return result
            except BaseException:
                self._writer.connection.rollback()
                raise
            finally:
                connection.close()

    async def close(self) -> None:
        async with self._lock:
            await self._commit_group()
            self._writer.connection.close()
            self._reader.connection.close()
            self._thread.shutdown()

    async def _begin(self) -> None:
        try:
            self._writer.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            with translated():
                if "locked" not in str(error):
                    raise
                await self._in_thread(self._begin_patiently)

    def _begin_patiently(self) -> None:
        """Another process writes this file: wait for it, off the event loop."""
        connection = self._writer.connection
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        try:
            connection.execute("BEGIN IMMEDIATE")
        finally:
            connection.execute("PRAGMA busy_timeout=0")

    def _commit(self) -> None:
        try:
            with translated():
                self._writer.connection.execute("COMMIT")
        except BaseException:
            # SQLite keeps a transaction whose commit failed open until told.
            self._writer.connection.rollback()
            raise

    async def _in_thread(self, work: Callable[[], None]) -> None:
        outcome = asyncio.get_running_loop().run_in_executor(self._thread, work)
        await _to_its_end(outcome)
        outcome.result()


async def _to_its_end(future: asyncio.Future[None]) -> None:
    """Wait until `future` is done, even when cancelled meanwhile, which is raised then."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break
    if cancelled is not None:
        raise cancelled


def _connected(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=5, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_PREPARED
    )
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=0"):
        connection.execute(f"PRAGMA {setting}")
    return connection
