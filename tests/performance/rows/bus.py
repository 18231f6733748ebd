"""Events on their way: the relay, the consumer, and from a commit to its effect, in one process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from unittest.mock import patch
from uuid import UUID

import asyncpg
import sqlalchemy as sa

from shared.events.contracts import CustomerRegistered
from shared.events.envelope import Envelope
from shared.kernel.ids import new_id
from shared.kit.bus import relay as relay_module
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.log import EventLog, Record, stable_hash
from shared.kit.bus.outbox import SHARDS
from shared.kit.bus.relay import Relay
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime
from tests.performance.bus import LOGS, NOON, record_of, running, service_and_log
from tests.performance.figures import Aim, Effort, Figure, paired, percentile, rate, ratio
from tests.performance.rows import row
from tests.performance.stage import Stage

KEYS = 1_000
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
        async with service_and_log(stage, name, "relay") as (runtime, log):
            measure = _Relaying(runtime, log)
            await measure.drain(100, batch=100)
            pairs = await paired(
                lambda measure=measure: measure.drain(3_000, batch=100),  # type: ignore[misc]
                lambda measure=measure: measure.drain(100, batch=1),  # type: ignore[misc]
                pairs=3 if stage.quick else 6,
            )
            yield ratio(f"relay batch 100 / 1, {LOGS[name]}", pairs, "per second", aim=Aim(20, 28))
            count = 10_000 if stage.quick else 30_000
            yield rate(f"relay, {LOGS[name]}", "rows/s", await measure.drain(count), Aim(10_000, 15_000))


@row("consumer")
async def consumer(stage: Stage) -> AsyncIterator[Figure]:
    """Events applied per second by one consumer whose handler inserts a row; then from a commit to its effect."""
    for name in LOGS:
        async with service_and_log(stage, name, "consumer") as (runtime, log):
            listening = _Listening(runtime, log)
            await listening.prepare()
            measured = await listening.apply(5_000 if stage.quick else 20_000)
            yield rate(f"consumer, {LOGS[name]}", "events/s", measured, Aim(2_000, 3_000))
            publisher = Relay(runtime.database, log, name="bench", doorbell=runtime.doorbell)
            async with running(listening.consumer, publisher):
                await listening.paced(1)
                seconds = await listening.paced(100 if stage.quick else 300)
            yield Figure(
                name=f"commit to applied p50, {LOGS[name]}",
                value=percentile(seconds, 50) * 1e3,
                unit="ms",
                aim=Aim(20, 5, at_most=True),
                parts={"p99 ms": percentile(seconds, 99) * 1e3},
            )


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
                async with running(publisher):
                    await _fill_outbox(connection, count)
                    effort = Effort()
                    self._runtime.doorbell.ring()
                    while await connection.fetchval("SELECT EXISTS (SELECT 1 FROM outbox)"):  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                    return effort.of(count)
        finally:
            await connection.close()


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

    async def apply(self, count: int) -> Mapping[str, float]:
        """Events per second of `count` that are in the log already, from the first batch applied to the last."""
        records = _records(count)
        for start in range(0, count, AT_ONCE):
            await self._log.append(records[start : start + AT_ONCE])
        self._expect(1)
        async with running(self.consumer):
            await self._enough.wait()
            before, effort = self.count, Effort()
            self._expect(count - before)
            await self._enough.wait()
            return effort.of(count - before)

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
    return [record_of(_fact(customers[number % KEYS]), number // KEYS + 1) for number in range(count)]


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
