"""What the tests of the bus build with: adapters, a small published language, a service that notes what it hears."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from shared.events import registry
from shared.events.envelope import Envelope, Fact
from shared.kernel.ids import new_id
from shared.kit.bus import outbox
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.kafka_client import KafkaSettings
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.bus.log import EventLog, Record
from shared.kit.bus.parking import RetryPlan
from shared.kit.bus.relay import Relay
from shared.kit.bus.sql_log import SqlLog
from shared.kit.bus.tables import log_metadata, metadata
from shared.kit.db import Database, Transaction, big_serial
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.waiting import eventually, run_apart

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
PARTITIONS = 3
LEASE_SECONDS = 0.6
QUICK = RetryPlan(first_seconds=0.02, longest_seconds=0.1, attempts=4)
PATIENT = RetryPlan(first_seconds=3600, longest_seconds=3600)

service = sa.MetaData()
# No unique constraint: an event applied twice shall be seen here.
heard = sa.Table(
    "heard",
    service,
    sa.Column("id", big_serial(), primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
)


class Happened(Fact):
    producer: ClassVar[str] = "test"
    aggregate: ClassVar[str] = "thing"
    kind: ClassVar[str] = "happened"
    key: ClassVar[str] = "thing_id"

    thing_id: UUID
    number: int


@dataclass
class Language:
    """`happened` and `noted` travel on the same topic."""

    happened: type[Happened]
    noted: type[Happened]

    @property
    def topic(self) -> str:
        return self.happened.topic()

    def fact(self, thing_id: UUID, number: int) -> Happened:
        return self.happened(customer_id=UUID(int=1), thing_id=thing_id, number=number)

    def envelope(self, thing_id: UUID, seq: int, *, epoch: int = 1, **changes: Any) -> Envelope:
        """The event that the outbox would make of fact number `seq`."""
        fact = self.fact(thing_id, seq)
        values: dict[str, Any] = {
            "id": new_id(),
            "source": f"/{fact.producer}",
            "type": fact.type_name(),
            "subject": str(thing_id),
            "time": NOON,
            "dataschema": f"mainstay:schemas/{fact.schema_name()}",
            "aggseq": seq,
            "aggepoch": epoch,
            "correlationid": "test",
            "data": fact.model_dump(mode="json"),
        }
        return Envelope(**{**values, **changes})

    def record(self, thing_id: UUID, seq: int, *, epoch: int = 1, **changes: Any) -> Record:
        headers, value = self.envelope(thing_id, seq, epoch=epoch, **changes).binary()
        return Record(self.topic, str(thing_id), headers, value)


def spoken_language(monkeypatch: pytest.MonkeyPatch) -> Language:
    producer = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(12))

    class HappenedHere(Happened):
        pass

    class NotedHere(Happened):
        kind: ClassVar[str] = "noted"

    for fact in (HappenedHere, NotedHere):
        fact.producer = producer
        monkeypatch.setitem(registry.BY_TYPE, fact.type_name(), fact)
    families = registry._FAMILIES | {f"mainstay.{producer}.happened", f"mainstay.{producer}.noted"}
    monkeypatch.setattr(registry, "_FAMILIES", families)
    return Language(HappenedHere, NotedHere)


class Bus:
    """One event log; `log()` opens it once more, as another process would."""

    def __init__(self) -> None:
        self._logs: list[EventLog] = []
        self._databases: list[Database] = []

    async def prepare(self) -> None:
        """Make what the log needs."""

    def log(self) -> EventLog:
        opened = self._open_log()
        self._logs.append(opened)
        return opened

    def service(self, name: str = "service") -> Database:
        """The database of that service, opened once more."""
        return self._remember(self._open_service(name))

    async def lose_oldest(self, log: EventLog, topic: str) -> None:
        """Have the log's retention drop everything it holds of the topic."""
        raise NotImplementedError

    async def close(self) -> None:
        for log in self._logs:
            await log.close()
        for database in self._databases:
            await database.close()

    def _open_log(self) -> EventLog:
        raise NotImplementedError

    def _open_service(self, name: str) -> Database:
        raise NotImplementedError

    def _remember(self, database: Database) -> Database:
        self._databases.append(database)
        return database


class SqlBus(Bus):
    async def lose_oldest(self, log: EventLog, topic: str) -> None:
        assert isinstance(log, SqlLog)
        now = await log.database.real_now()
        while await log.forget(now):
            pass


class SqliteBus(SqlBus):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    async def prepare(self) -> None:
        log = self._open_log()
        await log.create()
        await log.database.close()

    def _open_log(self) -> SqlLog:
        database = Database(f"sqlite:///{self._folder}/log.db")
        self._remember(database)
        return SqlLog(database, PARTITIONS, lease_seconds=LEASE_SECONDS)

    def _open_service(self, name: str) -> Database:
        path = self._folder / f"{name}.db"
        if not path.exists():
            engine = sa.create_engine(f"sqlite:///{path}")
            create_tables(engine)
            engine.dispose()
        return with_outbox(Database(f"sqlite:///{path}"))

    async def close(self) -> None:
        for log in self._logs:
            await log.close()
        for database in self._databases:
            await database.close()


class PostgresDatabases:
    """Databases with all tables, made once and emptied for each test, which is ten times faster than new ones."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._prefix = f"bus_{secrets.token_hex(6)}"
        self._made: set[str] = set()

    def url(self, name: str) -> str:
        database = f"{self._prefix}_{name}"
        if database not in self._made:
            self._server.create_database(database)
            run_apart(_with_all_tables(self._server.url_for(database)))
            self._made.add(database)
        return self._server.url_for(database)

    async def empty(self) -> None:
        tables = [table.name for part in (metadata, service, log_metadata) for table in part.sorted_tables]
        for database in self._made:
            connection = await asyncpg.connect(self._server.url_for(database))
            try:
                await connection.execute(";".join(f"DELETE FROM {name}" for name in tables))
            finally:
                await connection.close()

    def drop(self) -> None:
        for database in self._made:
            self._server.drop_database(database)


async def _with_all_tables(url: str) -> None:
    database = Database(url)
    await database.run_sync(create_all)
    await SqlLog(database).create()
    await database.close()


class PostgresBus(SqlBus):
    def __init__(self, databases: PostgresDatabases) -> None:
        super().__init__()
        self._urls = databases

    async def prepare(self) -> None:
        await self._urls.empty()

    def _open_log(self) -> EventLog:
        database = Database(self._urls.url("service"), pool_size=5, name="log")
        self._remember(database)
        return SqlLog(database, PARTITIONS, lease_seconds=LEASE_SECONDS)

    def _open_service(self, name: str) -> Database:
        return with_outbox(Database(self._urls.url(name), pool_size=10))


class KafkaBus(PostgresBus):
    def __init__(self, databases: PostgresDatabases, bootstrap: str) -> None:
        super().__init__(databases)
        self.settings = KafkaSettings(
            bootstrap=bootstrap,
            partitions=PARTITIONS,
            group_prefix=f"bus_{secrets.token_hex(6)}.",
            session_seconds=2.0,
            rebalance_seconds=5.0,
            heartbeat_seconds=0.2,
        )

    def _open_log(self) -> EventLog:
        return KafkaLog(self.settings)

    async def lose_oldest(self, log: EventLog, topic: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.bootstrap)
        await admin.start()
        try:
            # -1 stands for the end of the partition.
            everything = RecordsToDelete(before_offset=-1)
            await admin.delete_records({TopicPartition(topic, number): everything for number in range(PARTITIONS)})
        finally:
            await admin.close()


def create_all(connection: sa.Connection) -> None:
    metadata.create_all(connection)
    service.create_all(connection)


def create_tables(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        create_all(connection)


def with_outbox(database: Database) -> Database:
    database.commit_hooks = [outbox.flush]
    return database


@dataclass
class Listener:
    """Handlers that note in `heard` what they hear, and may be told to fail."""

    language: Language
    fail_on: set[int] = field(default_factory=set)
    error: Callable[[], Exception] = lambda: ValueError("no such thing")
    before: Callable[[Transaction, Happened], Awaitable[None]] | None = None
    calls: list[int] = field(default_factory=list)

    @property
    def handlers(self) -> Handlers:
        handlers = Handlers()

        @handlers.on(self.language.happened)
        async def note(tx: Transaction, fact: Happened, envelope: Envelope) -> None:
            self.calls.append(fact.number)
            await tx.insert(heard, {"key": str(fact.thing_id), "number": fact.number, "event_id": str(envelope.id)})
            if self.before is not None:
                await self.before(tx, fact)
            if fact.number in self.fail_on:
                raise self.error()

        return handlers


@asynccontextmanager
async def running(*runners: Relay | Consumer) -> AsyncIterator[asyncio.Event]:
    """Run them until the block ends; an error of theirs fails the test."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(runner.run(stop)) for runner in runners]
    try:
        yield stop
    finally:
        stop.set()
        done, late = await asyncio.wait(tasks, timeout=10)
        for task in late:
            task.cancel()
        assert not late, "did not stop in time"
        for task in done:
            task.result()


class CommandFailed(Exception):
    """A command that changes its mind at the last moment."""


async def announce_in_vain(database: Database, fact: Fact) -> None:
    async with database.transaction() as tx:
        tx.publish(fact)
        await outbox.flush(tx)
        tx.facts.clear()
        raise CommandFailed()


async def announce(database: Database, facts: Sequence[Fact], *, at_once: int = 1) -> None:
    """Commit the facts in order, `at_once` per transaction."""
    for start in range(0, len(facts), at_once):
        async with database.transaction() as tx:
            for fact in facts[start : start + at_once]:
                tx.publish(fact)


async def heard_by(database: Database) -> dict[str, list[int]]:
    """The numbers that each key's events brought, in the order of application."""
    async with database.reading() as reader:
        rows = await reader.rows(sa.select(heard.c.key, heard.c.number).order_by(heard.c.id))
    numbers: dict[str, list[int]] = {}
    for row in rows:
        numbers.setdefault(row.key, []).append(row.number)
    return numbers


async def until_heard(database: Database, expected: dict[UUID, list[int]], *, timeout: float = 20) -> None:
    """Wait until exactly this was heard; then `heard_by` must still be equal."""
    wanted = {str(key): numbers for key, numbers in expected.items() if numbers}
    total = sum(map(len, wanted.values()))

    async def enough() -> bool:
        return sum(map(len, (await heard_by(database)).values())) >= total

    try:
        await eventually(enough, timeout=timeout, what=f"{total} events")
    except TimeoutError:
        assert await heard_by(database) == wanted
        raise
    assert await heard_by(database) == wanted


async def count(database: Database, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    async with database.reading() as reader:
        number: int = await reader.scalar(sa.select(sa.func.count()).select_from(table).where(*where))
        return number
