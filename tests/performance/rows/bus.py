"""Events on their way: the relay, the consumer, and from a commit to its effect, in one process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from unittest.mock import patch
from uuid import UUID

import asyncpg
import sqlalchemy as sa

from shared.events.contracts import CustomerRegistered
from shared.events.envelope import Envelope
from shared.kernel.ids import new_id
from shared.kit.bus import relay as relay_module
from shared.kit.bus.consumer import Consumer, Handlers
from shared.kit.bus.kafka_log import KafkaLog, KafkaSettings
from shared.kit.bus.log import EventLog, Record, stable_hash
from shared.kit.bus.outbox import SHARDS
from shared.kit.bus.relay import Relay
from shared.kit.bus.sql_log import SqlLog
from shared.kit.db import Database, Transaction
from shared.kit.runtime import Runtime
from tests.infrastructure.waiting import eventually
from tests.performance.figures import Aim, Figure, paired, percentile, ratio
from tests.performance.rows import row
from tests.performance.stage import Stage

KEYS = 1_000
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LOGS = {"sqlite": "SQL log on SQLite", "postgres": "SQL log on PostgreSQL", "kafka": "Kafka"}
PAUSE_SECONDS = 0.01
AT_ONCE = 500
heard = sa.Table(
    "heard",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
)


@row("relay")
async def relay(stage: Stage) -> AsyncIterator[Figure]:
    """Outbox rows published per second by one relay in batches of 100; floor: in batches of one. Then as it is set."""
    for name in ("postgres", "kafka"):
        async with _bus(stage, name, "relay") as (runtime, log):
            measure = _Relaying(runtime, log)
            await measure.drain(100, batch=100)
            pairs = await paired(
                lambda measure=measure: measure.drain(3_000, batch=100),  # type: ignore[misc]
                lambda measure=measure: measure.drain(100, batch=1),  # type: ignore[misc]
                pairs=3 if stage.quick else 6,
            )
            yield ratio(f"relay batch 100 / 1, {LOGS[name]}", pairs, "per second", aim=Aim(20, 28))
            count = 10_000 if stage.quick else 30_000
            as_set = await measure.drain(count)
            yield Figure(
                name=f"relay, {LOGS[name]}", value=as_set["per second"], unit="rows/s", aim=Aim(10_000, 15_000)
            )


@row("consumer")
async def consumer(stage: Stage) -> AsyncIterator[Figure]:
    """Events applied per second by one consumer whose handler inserts a row; then from a commit to its effect."""
    for name in LOGS:
        async with _bus(stage, name, "consumer") as (runtime, log):
            listening = _Listening(runtime, log)
            await listening.prepare()
            async with _running(listening.consumer, Relay(runtime.database, log, name="bench")):
                per_second = await listening.apply(5_000 if stage.quick else 20_000)
                yield Figure(name=f"consumer, {LOGS[name]}", value=per_second, unit="events/s", aim=Aim(2_000, 3_000))
                seconds = await listening.paced(100 if stage.quick else 300)
            yield Figure(
                name=f"commit to applied p50, {LOGS[name]}",
                value=percentile(seconds, 50) * 1e3,
                unit="ms",
                aim=Aim(20, 5, at_most=True),
                parts={"p99 ms": percentile(seconds, 99) * 1e3},
            )


@asynccontextmanager
async def _bus(stage: Stage, name: str, purpose: str) -> AsyncIterator[tuple[Runtime, EventLog]]:
    """A service's database and an event log: both on SQLite, both on PostgreSQL, or PostgreSQL and Kafka."""
    async with AsyncExitStack() as stack:
        if name == "sqlite":
            url, log_url = (f"sqlite:///{stage.folder}/{purpose}-{part}.db" for part in ("service", "log"))
        else:
            url = stage.database(f"{purpose}_{name}")
            log_url = url if name == "kafka" else stage.database(f"{purpose}_{name}_log")
        log: EventLog
        if name == "kafka":
            log = KafkaLog(KafkaSettings(bootstrap=stage.kafka.bootstrap, partitions=4))
        else:
            database = Database(log_url, name="bench-log")
            stack.push_async_callback(database.close)
            log = SqlLog(database)
            await log.create()
        stack.push_async_callback(log.close)
        yield await stack.enter_async_context(stage.runtime("contracts", url, log)), log


@asynccontextmanager
async def _running(*runners: Relay | Consumer) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(runner.run(stop)) for runner in runners]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


class _Relaying:
    def __init__(self, runtime: Runtime, log: EventLog) -> None:
        self._runtime, self._log = runtime, log
        self._url = runtime.database.url.render_as_string(hide_password=False)

    async def drain(self, count: int, *, batch: int | None = None) -> Mapping[str, float]:
        """Rows per second from `count` being there until none is, with a relay that runs and owns all shards."""
        connection = await asyncpg.connect(self._url)
        publisher = Relay(self._runtime.database, self._log, name="bench", doorbell=self._runtime.doorbell)
        try:
            with patch.object(relay_module, "BATCH", batch or relay_module.BATCH):
                async with _running(publisher):
                    await eventually(lambda: _owns_all(publisher), what="the relay to own its shards")
                    await _fill_outbox(connection, count)
                    began = time.perf_counter()
                    self._runtime.doorbell.ring()
                    while await connection.fetchval("SELECT EXISTS (SELECT 1 FROM outbox)"):  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                    return {"per second": count / (time.perf_counter() - began)}
        finally:
            await connection.close()


async def _owns_all(publisher: Relay) -> bool:
    return len(publisher._leases.owned) == SHARDS


class _Listening:
    """A consumer whose handler inserts one row, and that notes when that is committed."""

    def __init__(self, runtime: Runtime, log: EventLog) -> None:
        self._database, self._log = runtime.database, log
        self.count = 0
        self._last = 0.0
        self._enough = asyncio.Event()
        self._wanted = 0
        handlers = Handlers()

        @handlers.on(CustomerRegistered)
        async def note(tx: Transaction, fact: CustomerRegistered, envelope: Envelope) -> None:
            await tx.insert(heard, {"id": envelope.id, "customer_id": fact.customer_id})
            tx.after_commit(self._note)

        self.consumer = Consumer("bench", runtime.database, log, handlers)

    def _note(self) -> None:
        self.count += 1
        self._last = time.perf_counter()
        if self.count >= self._wanted:
            self._enough.set()

    def _expect(self, count: int) -> None:
        """Have `_enough` set when so many more are applied."""
        self._wanted = self.count + count
        self._enough.clear()

    async def prepare(self) -> None:
        await self._database.run_sync(heard.create)
        await self._log.ensure_topics([CustomerRegistered.topic()])

    async def apply(self, count: int) -> float:
        """Events per second of `count` that are in the log already, from the first batch applied to the last."""
        records = _records(count)
        for start in range(0, count, AT_ONCE):
            await self._log.append(records[start : start + AT_ONCE])
        self._expect(1)
        async with _running(self.consumer):
            await self._enough.wait()
            before, began = self.count, self._last
            self._expect(count - before)
            await self._enough.wait()
        return (count - before) / (self._last - began)

    async def paced(self, count: int) -> list[float]:
        """Seconds from a commit until its event was applied and committed, for `count` commits one after the other."""
        seconds = []
        for _ in range(count):
            self._expect(1)
            async with self._database.transaction() as tx:
                tx.publish(_fact(new_id()))
            committed = time.perf_counter()
            await self._enough.wait()
            seconds.append(self._last - committed)
            await asyncio.sleep(PAUSE_SECONDS)
        return seconds


def _fact(customer_id: UUID) -> CustomerRegistered:
    return CustomerRegistered(customer_id=customer_id, language="en", zone="UTC", registered_at=NOON)


def _records(count: int) -> list[Record]:
    """Events of KEYS customers in turn, numbered as the outbox would."""
    customers = [new_id() for _ in range(KEYS)]
    records = []
    for number in range(count):
        fact = _fact(customers[number % KEYS])
        envelope = Envelope(
            id=new_id(),
            source=f"/{fact.producer}",
            type=fact.type_name(),
            subject=str(fact.customer_id),
            time=NOON,
            dataschema=f"mainstay:schemas/{fact.schema_name()}",
            aggseq=number // KEYS + 1,
            aggepoch=1,
            correlationid="bench",
            data=fact.model_dump(mode="json"),
        )
        records.append(Record(fact.topic(), str(fact.customer_id), *envelope.binary()))
    return records


async def _fill_outbox(connection: asyncpg.Connection, count: int) -> None:
    rows = [
        (
            stable_hash(record.topic, record.key) % SHARDS,
            record.topic,
            record.key,
            json.dumps([[name, value.decode()] for name, value in record.headers]),
            record.value,
            datetime.now(UTC),
        )
        for record in _records(count)
    ]
    columns = ["shard", "topic", "key", "headers", "value", "enqueued_at"]
    await connection.copy_records_to_table("outbox", records=rows, columns=columns)
