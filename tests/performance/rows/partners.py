"""One fact for a thousand linked partners: when it stands in their feeds, and when on their topics."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg

from services.notify.consumers import handlers
from shared.events.contracts import ServerRegistered
from shared.events.registry import partner_topic
from shared.kernel.ids import new_id
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.log import Record
from shared.kit.bus.relay import Relay
from tests.infrastructure.waiting import eventually
from tests.performance.bus import LOGS, NOON, record_of, running, service_and_log
from tests.performance.figures import Figure, quartiles
from tests.performance.rows import row
from tests.performance.stage import Stage, execute

PARTNERS = 1_000
CUSTOMER = UUID(int=1)
_ID = "('d0000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
FILL = (
    f"INSERT INTO partners SELECT {_ID}, 'Partner ' || n, now(), now() FROM generate_series(1, {PARTNERS}) n",
    f"INSERT INTO partner_streams SELECT {_ID}, 0, 0 FROM generate_series(1, {PARTNERS}) n",
    f"INSERT INTO partner_links SELECT gen_random_uuid(), {_ID}, '{CUSTOMER}', 'portal', 'linked', now(), NULL, 1 "
    f"FROM generate_series(1, {PARTNERS}) n",
    "ANALYZE",
)


@row("partners")
async def partners(stage: Stage) -> AsyncIterator[Figure]:
    """A fact about a customer to whom a thousand partners are linked, one after the other; no floor."""
    for name in ("postgres", "kafka"):
        async with service_and_log(stage, name, "partners", service="notify") as (runtime, log):
            url = runtime.database.url.render_as_string(hide_password=False)
            await execute(url, *FILL)
            topics = [partner_topic(UUID(f"d0000000-0000-4000-8000-{n:012x}")) for n in range(1, PARTNERS + 1)]
            await log.ensure_topics([ServerRegistered.topic()])
            await log.ensure_topics(topics, partitions=1)
            for start in range(0, PARTNERS, 20):
                # A broker makes the files of a partition when the first record comes, which takes it milliseconds.
                await log.append([Record(topic, topic, [], b"{}") for topic in topics[start : start + 20]])
            publisher = Relay(runtime.database, log, name="notify", doorbell=runtime.doorbell)
            connection = await asyncpg.connect(url)
            feeds, everywhere = [], []
            try:
                async with running(Consumer("notify", runtime.database, log, handlers), publisher):
                    for number in range(1, 4 if stage.quick else 7):
                        began = time.perf_counter()
                        await log.append([record_of(_fact())])
                        await _until(connection, f"SELECT count(*) = {number * PARTNERS} FROM partner_events")
                        feeds.append(time.perf_counter() - began)
                        await _until(connection, "SELECT NOT EXISTS (SELECT 1 FROM outbox)")
                        everywhere.append(time.perf_counter() - began)
            finally:
                await connection.close()
        # The first is the caches' and the plans'.
        for what, seconds in (("in the feeds", feeds[1:]), ("on the topics as well", everywhere[1:])):
            took = statistics.median(seconds)
            yield Figure(
                name=f"{PARTNERS:,} partners {what}, {LOGS[name]}",
                value=took * 1e3,
                unit="ms",
                spread=quartiles([one * 1e3 for one in seconds]),
                parts={"events per second": PARTNERS / took},
            )


async def _until(connection: asyncpg.Connection, condition: str) -> None:
    async def holds() -> bool:
        return bool(await connection.fetchval(condition))

    await eventually(holds, timeout=120, what=condition)


def _fact() -> ServerRegistered:
    return ServerRegistered(customer_id=CUSTOMER, server_id=new_id(), name="shop-1", registered_at=NOON)
