"""One explicit transaction per command, over SQLAlchemy Core statements, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import Connection, Row
from sqlalchemy.engine.url import make_url

from shared.kernel.clock import Clock, SystemClock, elapsed
from shared.kernel.errors import Unavailable
from shared.kit.database_trouble import DatabaseAway, LockedByAnother, OutcomeUnknown
from shared.kit.on_postgresql import OnPostgresql, PostgresqlLine
from shared.kit.on_sqlite import OnSqlite, SqliteLine
from shared.kit.statements import Fixed, Outcome, Parameters, Rows, Statement
from shared.kit.tracing import Tracing, step

__all__ = [
    "Database",
    "DatabaseAway",
    "Fixed",
    "Instant",
    "LockedByAnother",
    "Outcome",
    "OutcomeUnknown",
    "Reader",
    "Rows",
    "Statement",
    "Transaction",
    "big_serial",
    "json_type",
]

READY_SECONDS = 2.0
CLOCK_SECONDS = 5.0
CLOCK_TRIES = 3
FAST_ANSWER_SECONDS = 0.1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")


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


speaker: ContextVar[tuple[str, str | None]] = ContextVar("speaker", default=("system", None))
"""The actor and the correlation id that a transaction begins with."""


class Reader:
    """Statements outside a transaction: each sees what was committed when it began."""

    def __init__(self, database: Database, now: datetime, line: PostgresqlLine | SqliteLine) -> None:
        self.database = database
        self.dialect = database.dialect
        self.now = now
        self._line = line

    async def execute(self, statement: Statement | Fixed, parameters: Any = None) -> Outcome:
        """Run one statement; `parameters` as in SQLAlchemy (a list runs it once per element)."""
        self.database.statements += 1
        return await self._line.run(statement, parameters)

    async def rows(self, statement: Statement | Fixed, parameters: Any = None) -> Rows:
        return (await self.execute(statement, parameters)).rows

    async def row(self, statement: Statement | Fixed, parameters: Any = None) -> Row[Any] | None:
        """The first row or None."""
        return (await self.execute(statement, parameters)).first()

    async def scalar(self, statement: Statement | Fixed, parameters: Any = None) -> Any:
        """The first column of the first row, or None."""
        row = await self.row(statement, parameters)
        return None if row is None else row[0]


class Transaction(Reader):
    """One command's unit of work. Nobody but the kit commits it.

    What is handed to `publish` and `audit` is written by the kit at the end, in this transaction;
    `after_commit` callbacks run once the commit has succeeded.
    """

    def __init__(self, database: Database, now: datetime, line: PostgresqlLine | SqliteLine) -> None:
        super().__init__(database, now, line)
        self.actor, self.correlation_id = speaker.get()
        self.causation_id: str | None = None
        self.traceparent: str | None = None
        self.rings = False
        self.facts: list[Any] = []
        self.audit_entries: list[Any] = []
        self._after_commit: list[Callable[[], None]] = []
        self._last: dict[str, tuple[str, Parameters, Callable[[Rows], None] | None]] = {}

    def publish(self, fact: Any) -> None:
        """Announce a fact (shared.events.envelope.Fact): it leaves through the outbox iff this commits."""
        self.facts.append(fact)

    def after_commit(self, callback: Callable[[], None]) -> None:
        self._after_commit.append(callback)

    def at_the_end(
        self, name: str, sql: str, parameters: Parameters, told: Callable[[Rows], None] | None = None
    ) -> None:
        """PostgreSQL: have this change made just before the commit, in one round trip with all others of that kind.

        `sql` may refer to an earlier one by its name; names of parameters differ. `told` gets the rows that one of
        them returns.
        """
        self._last[name] = (sql, parameters, told)

    async def settle(self) -> None:
        """Make the changes kept for the end."""
        if not self._last:
            return
        last, self._last = self._last, {}
        teller = next((name for name, (_, _, told) in last.items() if told), None)
        statement = _together(tuple((name, sql) for name, (sql, _, _) in last.items()), teller)
        rows = await self.rows(statement, {key: value for _, given, _ in last.values() for key, value in given.items()})
        if teller is not None and (told := last[teller][2]):
            told(rows)

    async def insert(self, table: sa.Table, values: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        if values:
            await self.execute(_insert(table), values)

    async def insert_once(self, table: sa.Table, values: Mapping[str, Any], *, on: Sequence[str] | None = None) -> bool:
        """Insert unless a unique constraint (that over columns `on`, or any) says it is there; True if new."""
        statement = _insert_once(self.dialect, table, None if on is None else tuple(on))
        return (await self.execute(statement, values)).rowcount == 1

    async def upsert(
        self, table: sa.Table, values: Mapping[str, Any], *, on: Sequence[str], update: Sequence[str]
    ) -> None:
        """Insert, or update the columns `update` of the row that has the same `on` columns."""
        await self.execute(_upsert(self.dialect, table, tuple(on), tuple(update)), values)


@lru_cache(maxsize=100)
def _together(changes: tuple[tuple[str, str], ...], teller: str | None) -> Fixed:
    parts = ", ".join(f"{name} AS ({sql})" for name, sql in changes)
    return Fixed(sa.text(f"WITH {parts} SELECT * FROM {teller}" if teller else f"WITH {parts} SELECT 1 AS done"))  # noqa: S608


@lru_cache(maxsize=500)
def _insert(table: sa.Table) -> Fixed:
    # Inline: the key of the new row is not asked for.
    return Fixed(sa.insert(table).inline())


@lru_cache(maxsize=500)
def _insert_once(dialect: str, table: sa.Table, on: tuple[str, ...] | None) -> Fixed:
    return Fixed(_dialect_insert(dialect, table).on_conflict_do_nothing(index_elements=on))


@lru_cache(maxsize=500)
def _upsert(dialect: str, table: sa.Table, on: tuple[str, ...], update: tuple[str, ...]) -> Fixed:
    statement = _dialect_insert(dialect, table)
    changes = {name: statement.excluded[name] for name in update}
    return Fixed(statement.on_conflict_do_update(index_elements=on, set_=changes))


def _dialect_insert(dialect: str, table: sa.Table) -> Any:
    insert = postgresql.insert if dialect == "postgresql" else sqlite_dialect.insert
    return insert(table).inline()


CommitHook = Callable[[Transaction], Awaitable[None]]


class Database:
    """The database of one service (or of the SQL event log)."""

    def __init__(self, url: str, *, clock: Clock | None = None, pool_size: int = 10, name: str = "mainstay") -> None:
        """`url`: `sqlite:///path` or `postgresql://user:password@host/name`."""
        self.url = make_url(url)
        self.clock: Clock = clock or SystemClock()
        self.now_in: Callable[[Reader], Awaitable[datetime]] | None = None
        self.commit_hooks: list[CommitHook] = []
        self.doorbells: list[Callable[[], None]] = []
        self.tracing: Tracing | None = None
        """Where it is set, who works with this database leaves spans."""
        self.statements = 0
        self.transactions = 0
        self._probe: asyncio.Task[bool] | None = None
        self.driver: OnSqlite | OnPostgresql
        self.dialect: Literal["sqlite", "postgresql"]
        if self.url.get_backend_name() == "sqlite":
            self.dialect, self.driver = "sqlite", OnSqlite(self.url)
        else:
            self.dialect, self.driver = "postgresql", OnPostgresql(self.url, pool_size=pool_size, name=name)
        self._described = {"db.system.name": self.dialect}

    async def real_now(self) -> datetime:
        """The database's own clock, which rules leases whatever the replica's clock says."""
        value: datetime = await self.driver.now()
        return value

    async def state(self) -> str:
        """`ok`, or the code of what is wrong, within READY_SECONDS; probes that come meanwhile share one look."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._answers())
        done, _ = await asyncio.wait([self._probe], timeout=READY_SECONDS)
        return "ok" if done and self._probe.result() else DatabaseAway.code()

    async def _answers(self) -> bool:
        with suppress(Unavailable, LockedByAnother):
            async with self.reading() as reader:
                await reader.scalar(_ONE)
            return True
        return False

    async def _set_clock(self, line: PostgresqlLine | SqliteLine) -> None:
        """Set a SystemClock by the database's, before its first use and every few seconds."""
        clock = self.clock
        if self.dialect == "sqlite" or not isinstance(clock, SystemClock) or clock.is_set_within(CLOCK_SECONDS):
            return
        for _ in range(CLOCK_TRIES):
            clock.hold()  # The others go on with the present setting, if there is one.
            asked = elapsed()
            value: datetime = (await line.run(_DATABASE_CLOCK, None)).rows[0].now
            took = elapsed() - asked
            clock.set(value.astimezone(UTC), asked + took / 2, within=took / 2)
            if took < FAST_ANSWER_SECONDS:
                return

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """Autocommitted reads; raises DatabaseAway."""
        async with self.driver.reading() as line:
            await self._set_clock(line)
            reader = Reader(self, self.clock.now(), line)
            if self.now_in is not None:
                reader.now = await self.now_in(reader)
            yield reader

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit on leaving, roll back on any error; raises DatabaseAway, NoRoom, LockedByAnother, OutcomeUnknown."""
        self.transactions += 1
        with step("transaction", "CLIENT", self._described):
            async with self.driver.writing() as line:
                await self._set_clock(line)
                tx = Transaction(self, self.clock.now(), line)
                if self.now_in is not None:
                    tx.now = await self.now_in(tx)
                if self.tracing is not None:
                    tx.traceparent = self.tracing.traceparent()
                yield tx
                for hook in self.commit_hooks:
                    await hook(tx)
                await tx.settle()
        for callback in tx._after_commit:
            callback()
        if tx.facts or tx.rings:
            for ring in self.doorbells:
                ring()

    async def run_sync(self, work: Callable[[Connection], T], *, hurried: bool = True) -> T:
        """Run `work` with a plain SQLAlchemy connection (migrations, create_all) and commit.

        On PostgreSQL `work` may commit in between, and take as long as it likes unless `hurried`.
        """
        return await self.driver.run_sync(work, hurried=hurried)

    async def close(self) -> None:
        """Bounded also when the database does not answer."""
        if self._probe is not None:
            self._probe.cancel()
        await self.driver.close()


_ONE = Fixed(sa.text("SELECT 1"))
_DATABASE_CLOCK = Fixed(sa.text("SELECT clock_timestamp() AS now"))
