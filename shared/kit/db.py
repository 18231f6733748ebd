"""One explicit transaction per command, over SQLAlchemy Core, the same on SQLite and PostgreSQL.

SQLite: one writer per file behind a lock, statements run inline (microseconds), only a contended
BEGIN and the COMMIT (the fsync) hop to a thread. PostgreSQL: asyncpg under SQLAlchemy's pool.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import Connection, CursorResult, Engine, Row
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.kernel.clock import Clock, SystemClock
from shared.kernel.errors import Conflict, Unavailable

POOL_CHECKOUT_SECONDS = 2
LOCK_TIMEOUT_MS = 3_000
STATEMENT_TIMEOUT_MS = 8_000
COMMAND_TIMEOUT_SECONDS = 10
SQLITE_BUSY_SECONDS = 5
CLOCK_SECONDS = 5.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class DatabaseAway(Unavailable):
    """The database does not answer at the moment; nothing was stored."""


class LockedByAnother(Conflict):
    """Somebody else is changing the same thing right now; try again."""


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC instant: timestamptz on PostgreSQL, whole microseconds since 1970 on SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.BigInteger())
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("instants are aware")
        if dialect.name == "sqlite":
            return (value - _EPOCH) // _MICROSECOND
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return _EPOCH + timedelta(microseconds=value)
        result: datetime = value.astimezone(UTC)
        return result


def json_type() -> sa.types.TypeEngine[Any]:
    """JSONB on PostgreSQL, JSON text on SQLite."""
    return sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def big_serial() -> sa.types.TypeEngine[int]:
    """A BIGINT that also autoincrements as an SQLite rowid."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


Statement = sa.sql.expression.Executable
Rows = Sequence[Row[Any]]


class Reader:
    """Statements outside a transaction: each sees what was committed when it began."""

    def __init__(self, database: Database, now: datetime, connection: Connection | AsyncConnection) -> None:
        self.database = database
        self.dialect = database.dialect
        self.now = now
        self._connection = connection

    async def execute(self, statement: Statement, parameters: Any = None) -> CursorResult[Any]:
        """Run one statement; `parameters` as in SQLAlchemy (a list runs it once per element)."""
        self.database.statements += 1
        with _translated():
            if isinstance(self._connection, AsyncConnection):
                return await self._connection.execute(statement, parameters)
            return self._connection.execute(statement, parameters)

    async def rows(self, statement: Statement, parameters: Any = None) -> Rows:
        return (await self.execute(statement, parameters)).all()

    async def row(self, statement: Statement, parameters: Any = None) -> Row[Any] | None:
        """The first row or None."""
        return (await self.execute(statement, parameters)).first()

    async def scalar(self, statement: Statement, parameters: Any = None) -> Any:
        """The first column of the first row, or None."""
        row = await self.row(statement, parameters)
        return None if row is None else row[0]


class Transaction(Reader):
    """One command's unit of work. Nobody but the kit commits it.

    What is handed to `publish` and `audit` is written by the kit at the end, in this transaction;
    `after_commit` callbacks run once the commit has succeeded.
    """

    def __init__(self, database: Database, now: datetime, connection: Connection | AsyncConnection) -> None:
        super().__init__(database, now, connection)
        self.correlation_id: str | None = None
        self.causation_id: str | None = None
        self.actor = "system"
        self.traceparent: str | None = None
        self.rings = False
        self.facts: list[Any] = []
        self.audit_entries: list[Any] = []
        self._after_commit: list[Callable[[], None]] = []

    def publish(self, fact: Any) -> None:
        """Announce a fact (shared.events.envelope.Fact): it leaves through the outbox iff this commits."""
        self.facts.append(fact)

    def after_commit(self, callback: Callable[[], None]) -> None:
        self._after_commit.append(callback)

    async def insert(self, table: sa.Table, values: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        if values:
            await self.execute(sa.insert(table), values)

    async def insert_once(self, table: sa.Table, values: Mapping[str, Any], *, on: Sequence[str] | None = None) -> bool:
        """Insert unless a unique constraint (that over columns `on`, or any) says it is there; True if new."""
        statement: Any
        if self.dialect == "postgresql":
            statement = postgresql.insert(table).values(values).on_conflict_do_nothing(index_elements=on)
        else:
            statement = sqlite_dialect.insert(table).values(values).on_conflict_do_nothing(index_elements=on)
        return (await self.execute(statement)).rowcount == 1

    async def upsert(
        self, table: sa.Table, values: Mapping[str, Any], *, on: Sequence[str], update: Sequence[str]
    ) -> None:
        """Insert, or update the columns `update` of the row that has the same `on` columns."""
        dialect: Any = postgresql if self.dialect == "postgresql" else sqlite_dialect
        statement = dialect.insert(table).values(values)
        statement = statement.on_conflict_do_update(
            index_elements=on, set_={name: statement.excluded[name] for name in update}
        )
        await self.execute(statement)


CommitHook = Callable[[Transaction], Awaitable[None]]


class Database:
    """The database of one service (or of the SQL event log)."""

    def __init__(self, url: str, *, clock: Clock | None = None, pool_size: int = 10, name: str = "mainstay") -> None:
        """`url`: `sqlite:///path` or `postgresql://user:password@host/name`."""
        parsed = make_url(url)
        self.url = parsed
        self.dialect: Literal["sqlite", "postgresql"] = (
            "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql"
        )
        self.clock: Clock = clock or SystemClock()
        self.now_in: Callable[[Reader], Awaitable[datetime]] | None = None
        self.commit_hooks: list[CommitHook] = []
        self.doorbells: list[Callable[[], None]] = []
        self.statements = 0
        self.transactions = 0
        self._engine: Engine | None = None
        self._async_engine: AsyncEngine | None = None
        if self.dialect == "sqlite":
            self._open_sqlite()
        else:
            self._async_engine = create_async_engine(
                parsed.set(drivername="postgresql+asyncpg"),
                pool_size=pool_size,
                max_overflow=0,
                hide_parameters=True,  # a failing statement's values may be personal data; errors are logged
                pool_timeout=POOL_CHECKOUT_SECONDS,
                pool_pre_ping=False,
                pool_recycle=1800,
                connect_args={
                    "timeout": 5,
                    "command_timeout": COMMAND_TIMEOUT_SECONDS,
                    "server_settings": {
                        "application_name": name,
                        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                        "lock_timeout": str(LOCK_TIMEOUT_MS),
                        "idle_in_transaction_session_timeout": "30000",
                        "timezone": "UTC",
                    },
                },
            )
            self._autocommit = self._async_engine.execution_options(isolation_level="AUTOCOMMIT")

    def _open_sqlite(self) -> None:
        path = self.url.database
        if not path or path == ":memory:":
            raise ValueError("an SQLite database is a file here")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(
            f"sqlite:///{path}",
            poolclass=sa.pool.NullPool,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "isolation_level": None, "timeout": 0},
        )
        sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._writer = self._engine.connect()
        self._reader = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._write_lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")

    async def real_now(self) -> datetime:
        """The database's own clock, which rules leases whatever the replica's clock says."""
        if self._async_engine is None:
            return datetime.now(UTC)
        async with self._connected(self._autocommit) as connection:
            with _translated():
                value: datetime = (await connection.execute(sa.text("SELECT clock_timestamp()"))).scalar_one()
            return value.astimezone(UTC)

    async def correct_clock(self) -> None:
        """Measure how far this machine's clock is from the database's and correct a SystemClock by it."""
        if self._async_engine is not None and isinstance(self.clock, SystemClock):
            before = datetime.now(UTC)
            value = await self.real_now()
            after = datetime.now(UTC)
            self.clock.correction = value - (before + (after - before) / 2)

    async def keep_clock_right(self, stop: asyncio.Event) -> None:
        """`correct_clock` every few seconds until `stop`."""
        while not stop.is_set():
            with suppress(DatabaseAway):
                await self.correct_clock()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), CLOCK_SECONDS)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """Autocommitted reads; raises DatabaseAway."""
        if self._async_engine is None:
            reader = Reader(self, self.clock.now(), self._reader)
            await self._set_now(reader)
            yield reader
            return
        async with self._connected(self._autocommit) as connection:
            reader = Reader(self, self.clock.now(), connection)
            await self._set_now(reader)
            yield reader

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit on leaving, roll back on any exception; raises DatabaseAway, LockedByAnother."""
        self.transactions += 1
        if self._async_engine is None:
            async with self._sqlite_transaction() as tx:
                yield tx
        else:
            async with self._connected(self._async_engine) as connection:
                tx = Transaction(self, self.clock.now(), connection)
                await self._set_now(tx)
                yield tx
                await self._before_commit(tx)
                with _translated():
                    await connection.commit()
        self._committed(tx)

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A pooled connection, rolled back at the end; what goes wrong in between is the caller's own trouble."""
        with _translated():
            connection = await engine.connect()
        try:
            yield connection
        finally:
            with _translated():
                # Shielded: also a caller who is cancelled gives its connection back.
                await asyncio.shield(asyncio.ensure_future(connection.close()))

    @asynccontextmanager
    async def _sqlite_transaction(self) -> AsyncIterator[Transaction]:
        async with self._write_lock:
            try:
                await self._begin_immediate()
                tx = Transaction(self, self.clock.now(), self._writer)
                await self._set_now(tx)
                yield tx
                await self._before_commit(tx)
            except BaseException:
                self._writer.rollback()
                raise
            with _translated():
                await self._in_thread(self._commit_sqlite)

    async def _begin_immediate(self) -> None:
        try:
            self._writer.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            self._writer.rollback()
            with _translated():
                if "locked" not in str(error.orig):
                    raise
                await self._in_thread(self._begin_patiently)

    def _begin_patiently(self) -> None:
        """Another process writes this file: wait for it, off the event loop."""
        self._writer.exec_driver_sql(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1000}")
        try:
            self._writer.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError:
            self._writer.rollback()
            raise
        finally:
            self._writer.exec_driver_sql("PRAGMA busy_timeout=0")

    def _commit_sqlite(self) -> None:
        try:
            self._writer.commit()
        except BaseException:
            # SQLAlchemy takes the transaction for ended now; SQLite keeps it open until told.
            self._writer.rollback()
            self._writer.connection.rollback()
            raise

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Run `work` on the writer's thread to its end, even when the caller is cancelled meanwhile."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        failure = future.exception()
        if cancelled or failure:
            raise cancelled or failure or AssertionError

    async def _set_now(self, reader: Reader) -> None:
        if self.now_in is not None:
            reader.now = await self.now_in(reader)

    async def _before_commit(self, tx: Transaction) -> None:
        for hook in self.commit_hooks:
            await hook(tx)

    def _committed(self, tx: Transaction) -> None:
        for callback in tx._after_commit:
            callback()
        if tx.facts or tx.rings:
            for ring in self.doorbells:
                ring()

    async def run_sync(self, work: Callable[[Connection], Any]) -> Any:
        """Run `work` with a plain SQLAlchemy connection (migrations, create_all) and commit."""
        if self._engine is not None:
            async with self._write_lock:
                try:
                    await self._begin_immediate()
                    result = work(self._writer)
                except BaseException:
                    self._writer.rollback()
                    raise
                self._commit_sqlite()
                return result
        assert self._async_engine is not None
        async with self._async_engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        if self._async_engine is not None:
            await self._async_engine.dispose()
        elif self._engine is not None:
            async with self._write_lock:
                self._writer.close()
                self._reader.close()
                self._engine.dispose()
                self._thread.shutdown()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA busy_timeout=0")


class _translated:
    """Turn the driver's complaints into refusals the edge can answer; put around database calls only."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            _raise_translated(error)


_LOCK_STATES = {"55P03", "40P01", "40001"}  # lock_not_available, deadlock_detected, serialization_failure
_AWAY_CLASSES = ("08", "57", "53", "XX")  # connection, operator intervention, resources, internal


def _raise_translated(error: BaseException) -> None:
    if isinstance(error, PoolTimeout | ConnectionError | TimeoutError | OSError) and not isinstance(
        error, asyncio.CancelledError
    ):
        raise DatabaseAway() from error
    if not isinstance(error, DBAPIError):
        return
    _forget_values(error)
    if isinstance(error.orig, sqlite3.Error):
        _raise_translated_sqlite(error, error.orig)
        return
    state = getattr(error.orig, "sqlstate", None) or getattr(getattr(error.orig, "__cause__", None), "sqlstate", None)
    if state in _LOCK_STATES:
        raise LockedByAnother() from error
    if (
        error.connection_invalidated
        or isinstance(error, InterfaceError | OperationalError)
        or (state or "").startswith(_AWAY_CLASSES)
    ):
        raise DatabaseAway() from error


def _forget_values(error: DBAPIError) -> None:
    """Drop PostgreSQL's DETAIL, which repeats the row: errors are logged, and rows hold personal data."""
    chain: list[Any] = [error, error.orig, getattr(error.orig, "__cause__", None)]
    for one in chain:
        if one is not None:
            one.args = tuple(str(argument).split("\nDETAIL:")[0] for argument in one.args)
            if getattr(one, "detail", None):
                one.detail = None


def _raise_translated_sqlite(error: DBAPIError, cause: sqlite3.Error) -> None:
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        raise LockedByAnother() from error
    # SQLITE_ERROR is a statement that is wrong; the other operational errors are the disk's.
    if isinstance(cause, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
        raise DatabaseAway() from error
