"""A service's database with an event log, and the loops of the bus running in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from shared.events.envelope import Envelope, Fact
from shared.kernel.ids import new_id
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.kafka_client import KafkaSettings
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.bus.log import EventLog, Record
from shared.kit.bus.outbox import SHARDS
from shared.kit.bus.relay import Relay
from shared.kit.bus.sql_log import SqlLog
from shared.kit.db import Database
from shared.kit.runtime import Runtime
from tests.infrastructure.waiting import eventually
from tests.performance.stage import Stage

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LOGS = {"sqlite": "SQL log on SQLite", "postgres": "SQL log on PostgreSQL", "kafka": "Kafka"}


@asynccontextmanager
async def service_and_log(
    stage: Stage, name: str, purpose: str, *, service: str = "contracts"
) -> AsyncIterator[tuple[Runtime, EventLog]]:
    """Both on SQLite, both on PostgreSQL, or PostgreSQL and Kafka: `name` is one of LOGS."""
    async with AsyncExitStack() as stack:
        if name == "sqlite":
            url, log_url = (f"sqlite:///{stage.folder}/{purpose}-{part}.db" for part in ("service", "log"))
        else:
            url = stage.database(f"{purpose}_{name}")
            log_url = url if name == "kafka" else stage.database(f"{purpose}_{name}_log")
        log: EventLog
        if name == "kafka":
            prefix, bootstrap = f"{purpose}.", stage.kafka.bootstrap
            log = KafkaLog(KafkaSettings(bootstrap=bootstrap, partitions=4, group_prefix=prefix, send_seconds=20))
        else:
            database = Database(log_url, name="bench-log")
            stack.push_async_callback(database.close)
            log = SqlLog(database)
            await log.create()
        stack.push_async_callback(log.close)
        yield await stack.enter_async_context(stage.runtime(service, url, log)), log


@asynccontextmanager
async def running(*runners: Relay | Consumer) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(runner.run(stop)) for runner in runners]
    try:
        for runner in runners:
            if isinstance(runner, Relay):
                await _owns_its_shards(runner)
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def _owns_its_shards(relay: Relay) -> None:
    async def owns_all() -> bool:
        return len(relay._leases.owned) == SHARDS

    await eventually(owns_all, what="the relay to own its shards")


def record_of(fact: Fact, seq: int = 1) -> Record:
    """The record that the outbox would make of the aggregate's fact number `seq`."""
    envelope = Envelope(
        id=new_id(),
        source=f"/{fact.producer}",
        type=fact.type_name(),
        subject=str(fact.aggregate_id()),
        time=NOON,
        dataschema=f"mainstay:schemas/{fact.schema_name()}",
        aggseq=seq,
        aggepoch=1,
        correlationid="bench",
        data=fact.model_dump(mode="json"),
    )
    return Record(fact.topic(), str(fact.aggregate_id()), *envelope.binary())
