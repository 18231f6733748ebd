"""Publishes pending outbox rows and deletes them when the log has them; several relays share the shards."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from shared.kernel.errors import Unavailable
from shared.kit.bus import metrics, sets
from shared.kit.bus.doorbell import OUTBOX, Doorbell, run_until, wait_for_any
from shared.kit.bus.leases import Leases, Thing
from shared.kit.bus.log import EventLog, Record
from shared.kit.bus.outbox import SHARDS
from shared.kit.bus.tables import outbox, relay_members, relay_shards
from shared.kit.db import Database, LockedByAnother, Reader
from shared.kit.statements import Fixed
from shared.kit.tracing import Tracing

BATCH = 500
IDLE_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0
AWAY_SECONDS = 0.5
SHARDS_TO_TRY = 2
MEASURE_SECONDS = 5.0
FINISH_SECONDS = 2.0

log = structlog.get_logger("bus")


class Relay:
    """One replica. Whatever kills it, or lets two overlap, makes duplicates and never a loss or a change of order."""

    def __init__(
        self,
        database: Database,
        log: EventLog,
        *,
        name: str,
        doorbell: Doorbell | None = None,
        lease_seconds: float = 5.0,
    ) -> None:
        """`doorbell`: one on OUTBOX that `Database.doorbells` rings already; by default one of the relay's own."""
        self._database = database
        self._log = log
        self._name = name
        self.doorbell = doorbell or Doorbell(database, OUTBOX)
        self._rings = [] if doorbell else [self.doorbell.ring]
        self._leases = Leases(
            database, relay_shards, relay_members, key=["shard"], scope={}, group=f"{name}-relay", seconds=lease_seconds
        )
        self._failures: dict[int, tuple[int, float]] = {}
        self.turned_at = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, then give the shards to the others."""
        helpers = [asyncio.create_task(self._leases.keep(_all_shards)), asyncio.create_task(self._measure())]
        wake = self._leases.changed
        self._database.doorbells.extend(self._rings)
        try:
            async with self.doorbell.heard(wake):
                while not stop.is_set():
                    self.turned_at = time.monotonic()
                    wake.clear()
                    if not await self._publish_until(stop):
                        await wait_for_any(stop, wake, timeout=self._pause())
        finally:
            for ring in self._rings:
                self._database.doorbells.remove(ring)
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._leases.release()

    def has_first_shard(self) -> bool:
        """True for one of the service's replicas at a time, or nearly so."""
        return (0,) in self._leases.owned

    async def publish_once(self, shards: Collection[int] | None = None) -> int:
        """Publish one batch of the given shards (or of those leased) and return how many rows were acknowledged."""
        shards = [shard for (shard,) in self._leases.owned] if shards is None else shards
        ready = [shard for shard in shards if self._failures.get(shard, (0, 0.0))[1] <= time.monotonic()]
        if not ready:
            return 0
        rows = await self._pending(ready)
        for shard in set(ready) - {row.shard for row in rows}:
            self._failures.pop(shard, None)
        if not rows:
            return 0
        if await self._append(rows):
            await self._forget(rows)
            return len(rows)
        return await self._publish_by_shard(rows)

    async def _publish_by_shard(self, rows: Sequence[sa.Row[Any]]) -> int:
        """Something stopped the batch: one shard alone, or the log is away, and then two shards are proof enough."""
        shards = list({row.shard for row in rows})
        random.shuffle(shards)
        published = failed = 0
        for shard in shards:
            own = [row for row in rows if row.shard == shard]
            if failed < SHARDS_TO_TRY and await self._append(own):
                await self._forget(own)
                published += len(own)
                failed = 0
            else:
                failed += 1
                self._back_off(shard)
        return published

    async def _publish_until(self, stop: asyncio.Event) -> int:
        """A batch, but not long after `stop`: a log that is down may hold an append for seconds."""
        try:
            return await run_until(stop, self.publish_once(), grace=FINISH_SECONDS) or 0
        except (Unavailable, LockedByAnother) as error:
            log.warning("outbox away", service=self._name, error=type(error).__name__)
        except Exception:
            log.exception("relay failed and goes on", service=self._name)
        await wait_for_any(stop, timeout=AWAY_SECONDS)
        return 0

    async def _pending(self, shards: Collection[int]) -> Sequence[sa.Row[Any]]:
        async with self._database.reading() as reader:
            return await reader.rows(_PENDING[reader.dialect], {"shards": list(shards), "at_most": BATCH})

    async def _append(self, rows: Sequence[sa.Row[Any]]) -> bool:
        self.turned_at = time.monotonic()
        records = [
            Record(row.topic, row.key, [(name, value.encode()) for name, value in row.headers], row.value)
            for row in rows
        ]
        try:
            await self._log.append(records)
        except Exception as error:
            metrics.PUBLISH_FAILED.labels(self._name).inc()
            log.warning("events not published", service=self._name, rows=len(rows), error=repr(error)[:300])
            return False
        for shard in {row.shard for row in rows}:
            self._failures.pop(shard, None)
        return True

    async def _forget(self, rows: Sequence[sa.Row[Any]]) -> None:
        """Delete exactly what was acknowledged; if this fails the rows are published again, as duplicates."""
        async with self._database.transaction() as tx:
            await tx.execute(_FORGET[tx.dialect], {"ids": [row.id for row in rows]})
        now = self._database.clock.now()
        seconds = metrics.PUBLISH_SECONDS.labels(self._name)
        for row in rows:
            seconds.observe((now - row.enqueued_at).total_seconds())
        if self._database.tracing is not None:
            _trace(self._database.tracing, rows, now)
        metrics.PUBLISHED.labels(self._name).inc(len(rows))

    def _back_off(self, shard: int) -> None:
        times = self._failures.get(shard, (0, 0.0))[0] + 1
        delay = min(FIRST_BACKOFF_SECONDS * 2 ** min(times - 1, 10), LONGEST_BACKOFF_SECONDS)
        self._failures[shard] = (times, time.monotonic() + delay * random.uniform(0.5, 1.0))  # noqa: S311

    def _pause(self) -> float:
        """Until the next look at the outbox, or until a shard may be tried again."""
        now = time.monotonic()
        retries = [self._failures[shard][1] for (shard,) in self._leases.owned if shard in self._failures]
        return min([IDLE_SECONDS, *(max(until - now, 0.01) for until in retries)])

    async def _measure(self) -> None:
        while True:
            try:
                async with self._database.reading() as reader:
                    ages = await pending_ages(reader)
                for shard, age in ages.items():
                    metrics.OLDEST_PENDING.labels(self._name, shard).set(age.total_seconds())
            except Unavailable as away:
                log.info("outbox not measured", service=self._name, error=type(away).__name__)
            except Exception:
                log.exception("measuring the outbox failed and goes on", service=self._name)
            await asyncio.sleep(MEASURE_SECONDS)


async def pending_ages(reader: Reader) -> dict[int, timedelta]:
    """How long the first pending row of each shard has waited; zero for an empty shard."""
    first = (
        sa.select(outbox.c.enqueued_at)
        .where(outbox.c.shard == relay_shards.c.shard)
        .order_by(outbox.c.id)
        .limit(1)
        .scalar_subquery()
    )
    rows = await reader.rows(sa.select(relay_shards.c.shard, first.label("oldest")))
    now: datetime = reader.database.clock.now()
    return {row.shard: max(now - row.oldest, timedelta()) if row.oldest else timedelta() for row in rows}


def _trace(tracing: Tracing, rows: Sequence[sa.Row[Any]], now: datetime) -> None:
    for row in rows:
        headers = dict(row.headers)
        if parent := headers.get("traceparent"):
            attributes = {"messaging.system": "mainstay", "messaging.destination.name": row.topic}
            tracing.tell(
                f"publish {headers.get('ce_type', row.topic)}",
                "PRODUCER",
                attributes,
                parent=parent,
                began=row.enqueued_at,
                ended=now,
            )


async def _all_shards() -> Collection[Thing]:
    return _SHARDS


def _pending(dialect: str) -> Fixed:
    columns = outbox.c
    return Fixed(
        sa.select(
            columns.id, columns.shard, columns.topic, columns.key, columns.headers, columns.value, columns.enqueued_at
        )
        .where(sets.among_given(dialect, columns.shard, "shards"))
        .order_by(columns.id)
        .limit(sa.bindparam("at_most"))
    )


_DIALECTS = ("postgresql", "sqlite")
_PENDING = {dialect: _pending(dialect) for dialect in _DIALECTS}
_FORGET = {
    dialect: Fixed(sa.delete(outbox).where(sets.among_given(dialect, outbox.c.id, "ids"))) for dialect in _DIALECTS
}
_SHARDS = [(shard,) for shard in range(SHARDS)]
