"""Transactions on PostgreSQL: asyncpg's own connections, lent one at a time (ADR 0018)."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Connection
from sqlalchemy.engine.url import URL
from sqlalchemy.ext.asyncio import create_async_engine

from shared.kit.database_trouble import DatabaseAway, OutcomeUnknown, translated
from shared.kit.statements import POSTGRESQL, Outcome, shape_of

CONNECT_SECONDS = 3
POOL_CHECKOUT_SECONDS = 2
LOCK_TIMEOUT_MS = 3_000
STATEMENT_TIMEOUT_MS = 8_000
COMMAND_TIMEOUT_SECONDS = 9
"""For a server that does not even end a statement in its own time; a request's deadline (routing) is longer still."""
ROLLBACK_SECONDS = 0.5
CLOSE_SECONDS = 1
OLDEST_CONNECTION_SECONDS = 1_800
STATEMENTS_PREPARED = 500

T = TypeVar("T")

_WITHOUT_BOUNDS = "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0"


class PostgresqlLine:
    """One connection while somebody has it."""

    __slots__ = ("broken", "connection", "opened_at")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.opened_at = time.monotonic()
        self.broken = False
        """True once a statement failed or was cut off: the connection must be cleaned before anybody else has it."""

    async def run(self, statement: Any, parameters: Any) -> Outcome:
        plan, arguments = POSTGRESQL.plan(statement, parameters)
        try:
            with translated():
                if isinstance(parameters, list | tuple):
                    if plan.changes_rows:
                        await self.connection.executemany(plan.sql, arguments)
                        return Outcome((), -1)
                    found = [row for each in arguments for row in await self.connection.fetch(plan.sql, *each)]
                elif plan.changes_rows:
                    return Outcome((), _count_in(await self.connection.execute(plan.sql, *arguments)))
                else:
                    found = await self.connection.fetch(plan.sql, *arguments)
        except BaseException:
            self.broken = True
            raise
        shape = plan.shape or shape_of(tuple(found[0].keys()) if found else ())
        return Outcome(shape.rows(found), len(found))

    async def say(self, word: str) -> None:
        """BEGIN or COMMIT. A COMMIT of what has failed answers ROLLBACK, and is no success."""
        try:
            with translated():
                answer = await self.connection.execute(word)
        except BaseException:
            self.broken = True
            raise
        if answer != word:
            raise RuntimeError(f"the database answered {answer} to {word}")


class OnPostgresql:
    """The database of a service on PostgreSQL, with up to `pool_size` connections."""

    dialect = "postgresql"

    def __init__(self, url: URL, *, pool_size: int, name: str) -> None:
        self._url = url
        self._name = name
        self._pool = _Pool(self._connect, pool_size)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[PostgresqlLine]:
        line = await self._pool.take()
        try:
            yield line
        finally:
            await self._give_back(line)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[PostgresqlLine]:
        line = await self._pool.take()
        try:
            await line.say("BEGIN")
            yield line
            try:
                await line.say("COMMIT")
            except DatabaseAway as away:
                raise OutcomeUnknown() from away
        except BaseException:
            line.broken = True
            raise
        finally:
            await self._give_back(line)

    async def now(self) -> Any:
        """The server's clock."""
        async with self.reading() as line:
            return (await line.run(sa.text("SELECT clock_timestamp() AS now"), None)).rows[0].now

    async def run_sync(self, work: Callable[[Connection], T], *, hurried: bool = True) -> T:
        options = _options(self._name)
        engine = create_async_engine(
            self._url.set(drivername="postgresql+asyncpg"),
            poolclass=sa.pool.NullPool,
            hide_parameters=True,
            connect_args=options if hurried else {**options, "command_timeout": None},
        )
        try:
            with translated():
                async with engine.connect() as connection:
                    result = await connection.run_sync(work)
                    await connection.commit()
                    return result
        finally:
            await engine.dispose()

    async def apart(self) -> PostgresqlLine:
        """A connection outside the pool and without bounds in time, for what takes as long as the data is large.

        The caller closes it; raises DatabaseAway.
        """
        with translated():
            line = await self._connect()
            await line.connection.execute(_WITHOUT_BOUNDS)
        return line

    @property
    def lent(self) -> int:
        """How many connections somebody has at the moment."""
        return self._pool.lent

    @property
    def waiting(self) -> int:
        """How many callers wait for one."""
        return self._pool.waiting

    async def close(self) -> None:
        await self._pool.close()

    async def _give_back(self, line: PostgresqlLine) -> None:
        if line.broken:
            # Shielded: also a caller who is cancelled leaves a clean connection behind.
            await asyncio.shield(asyncio.ensure_future(self._clean(line)))
        else:
            self._pool.give_back(line)

    async def _clean(self, line: PostgresqlLine) -> None:
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                if line.connection.is_in_transaction():
                    await line.connection.execute("ROLLBACK")
                else:
                    await line.connection.fetchval("SELECT 1")
            line.broken = False
        except Exception:
            line.connection.terminate()
        finally:
            self._pool.give_back(line)

    async def _connect(self) -> PostgresqlLine:
        _, arguments = PGDialect_asyncpg().create_connect_args(self._url)  # type: ignore[no-untyped-call]
        arguments = {name: value for name, value in arguments.items() if not name.startswith("prepared_statement")}
        options = _options(self._name) | {"statement_cache_size": STATEMENTS_PREPARED}
        connection = await asyncpg.connect(**arguments, **options)
        for kind in ("json", "jsonb"):
            # SQLAlchemy's JSON type writes the text; what comes back is read here, also from plain SQL.
            await connection.set_type_codec(kind, schema="pg_catalog", encoder=str, decoder=json.loads)
        return PostgresqlLine(connection)


class _Pool:
    """Lends connections, the warmest first; who waits is served in order.

    asyncpg's own pool costs a task per loan, more than the statement that the loan is for.
    """

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, PostgresqlLine]], size: int) -> None:
        self._connect = connect
        self._size = self._places = size
        """`_places`: how many more connections may be opened."""
        self._free: list[PostgresqlLine] = []
        self._waiting: deque[asyncio.Future[PostgresqlLine | None]] = deque()

    @property
    def lent(self) -> int:
        return self._size - self._places - len(self._free)

    @property
    def waiting(self) -> int:
        return sum(not place.done() for place in self._waiting)

    async def take(self) -> PostgresqlLine:
        """Raises DatabaseAway."""
        while self._free:
            line = self._free.pop()
            if not line.connection.is_closed():
                return line
            self._places += 1
        with translated():
            if self._places > 0:
                self._places -= 1
                return await self._opened()
            return await self._waited_for()

    def give_back(self, line: PostgresqlLine) -> None:
        if line.connection.is_closed():
            self._offer(None)
        elif time.monotonic() - line.opened_at > OLDEST_CONNECTION_SECONDS:
            line.connection.terminate()
            self._offer(None)
        else:
            self._offer(line)

    async def close(self) -> None:
        free, self._free = self._free, []
        self._places += len(free)
        # Side by side, for none may answer.
        await asyncio.gather(*map(_closed, free))

    async def _opened(self) -> PostgresqlLine:
        try:
            return await self._connect()
        except BaseException:
            self._offer(None)
            raise

    async def _waited_for(self) -> PostgresqlLine:
        place: asyncio.Future[PostgresqlLine | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(POOL_CHECKOUT_SECONDS):
                line = await place
        except BaseException:
            if place.done() and not place.cancelled():
                self._offer(place.result())
            place.cancel()
            raise
        return line or await self._opened()

    def _offer(self, line: PostgresqlLine | None) -> None:
        """A connection, or the place for a new one, goes to who has waited longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(line)
                return
        if line is None:
            self._places += 1
        else:
            self._free.append(line)


async def _closed(line: PostgresqlLine) -> None:
    try:
        await line.connection.close(timeout=CLOSE_SECONDS)
    except Exception:
        line.connection.terminate()


def _options(name: str) -> dict[str, Any]:
    return {
        "timeout": CONNECT_SECONDS,
        "command_timeout": COMMAND_TIMEOUT_SECONDS,
        "server_settings": {
            "application_name": name,
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": "30000",
            "timezone": "UTC",
        },
    }


def _count_in(status: str) -> int:
    """Of `UPDATE 3` or `INSERT 0 1`."""
    count = status.rpartition(" ")[2]
    return int(count) if count.isdecimal() else 0
