"""Wakes whoever waits for new rows of a database: within this process at once, in other processes in milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from shared.kernel.ids import new_id
from shared.kit.db import Database
from shared.kit.on_sqlite import OnSqlite

COALESCE_SECONDS = 0.005
SHORTEST_LOOK_SECONDS = 0.01
LONGEST_LOOK_SECONDS = 0.2
PROBE_SECONDS = 10.0
RECONNECT_SECONDS = 1.0
CONNECT_SECONDS = 3.0
CANCEL_SECONDS = 1.0

OUTBOX = "mainstay_outbox"
LOG = "mainstay_log"

log = structlog.get_logger("bus")
T = TypeVar("T")


class Doorbell:
    """Ring after a commit; never inside the business transaction, where NOTIFY costs a fifth of the throughput.

    PostgreSQL: LISTEN and NOTIFY on one connection of its own, at most one NOTIFY per 5 ms. SQLite: what others
    commit is noticed by PRAGMA data_version of the writing connection, which does not count its own commits; a
    quiet file is looked at less and less often. A ring can get lost, so whoever waits also looks now and then.
    """

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._me = new_id().hex
        self._waiting: set[asyncio.Event] = set()
        self._connection: Any = None
        self._connecting = asyncio.Lock()
        self._unsent = False
        self._sender: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Wake all; returns at once. Made for `Database.doorbells`."""
        self._wake()
        if self._database.dialect == "postgresql":
            self._unsent = True
            if self._sender is None or self._sender.done():
                self._sender = asyncio.get_running_loop().create_task(self._send())

    @asynccontextmanager
    async def heard(self, event: asyncio.Event | None = None) -> AsyncIterator[asyncio.Event]:
        """An event that is set at every ring, from this or another process."""
        event = event or asyncio.Event()
        self._waiting.add(event)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        try:
            yield event
        finally:
            self._waiting.discard(event)
            if not self._waiting:
                await self.close()

    async def close(self) -> None:
        tasks = [task for task in (self._listener, self._sender) if task is not None]
        self._listener = self._sender = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drop_connection()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    async def _send(self) -> None:
        while self._unsent:
            self._unsent = False
            try:
                connection = await self._connected()
                await connection.execute(f"NOTIFY {self._channel}, '{self._me}'", timeout=CONNECT_SECONDS)
            except Exception as error:
                self._drop_connection()
                log.info("doorbell not heard", channel=self._channel, error=type(error).__name__)
                return
            await asyncio.sleep(COALESCE_SECONDS)

    async def _listen(self) -> None:
        listen = self._listen_on_postgresql if self._database.dialect == "postgresql" else self._watch_sqlite
        while True:
            try:
                await listen()
            except Exception as error:
                self._drop_connection()
                log.info("doorbell lost its line", channel=self._channel, error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_on_postgresql(self) -> None:
        connection = await self._connected()
        await connection.add_listener(self._channel, self._heard)
        self._wake()
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            # A line cut without a goodbye looks alive until somebody speaks on it.
            await (await self._connected()).execute("SELECT 1", timeout=CONNECT_SECONDS)
            if self._connection is not connection:
                return

    async def _watch_sqlite(self) -> None:
        seen, pause = None, SHORTEST_LOOK_SECONDS
        assert isinstance(self._database.driver, OnSqlite)
        while True:
            version = self._database.driver.version_by_others()
            if version is not None and version != seen:
                seen, pause = version, SHORTEST_LOOK_SECONDS
                self._wake()
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, LONGEST_LOOK_SECONDS)

    def _heard(self, _connection: Any, _pid: int, _channel: str, sender: str) -> None:
        if sender != self._me:
            self._wake()

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                self._connection = await _connect(self._database)
            return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.terminate()
            self._connection = None


async def wait_for_any(*events: asyncio.Event, timeout: float) -> None:
    """Return when one of the events is set, or after `timeout` seconds."""
    if timeout <= 0 or any(event.is_set() for event in events):
        await asyncio.sleep(0)
        return
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def run_until(stop: asyncio.Event, work: Coroutine[Any, Any, T], *, grace: float) -> T | None:
    """The result of `work`; when `stop` is set it has `grace` seconds left, then it is cancelled and None returned."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and grace > 0:
            await asyncio.wait([task], timeout=grace)
        return task.result() if task.done() else None
    finally:
        stopping.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_SECONDS)


async def _connect(database: Database) -> Any:
    import asyncpg

    _, options = PGDialect_asyncpg().create_connect_args(database.url)  # type: ignore[no-untyped-call]
    options = {name: value for name, value in options.items() if not name.startswith("prepared_statement")}
    settings = {"application_name": "mainstay-doorbell"}
    return await asyncpg.connect(**options, timeout=CONNECT_SECONDS, server_settings=settings)
