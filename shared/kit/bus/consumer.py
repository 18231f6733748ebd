"""Applies events to a service's database, each exactly once and in the order of its key."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress

import structlog

from shared.kernel.errors import Unavailable
from shared.kit.bus import metrics, positions
from shared.kit.bus.applying import Work, read_arrival
from shared.kit.bus.doorbell import run_until, wait_for_any
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.log import Batch, EventLog, Lag, Partition, ReadBounds, Subscription
from shared.kit.bus.parked_retries import ParkedRetries
from shared.kit.bus.parking import RetryPlan
from shared.kit.bus.positions import FROM_THE_OLDEST
from shared.kit.db import Database, LockedByAnother

BATCH = 500
BATCH_ON_SQLITE = 100
"""SQLite statements run on the event loop, so a batch is also how long everything else waits."""
POLL_SECONDS = 1.0
QUICK_TRIES = 3
QUICK_PAUSE_SECONDS = 0.05
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0
BATCH_FAILURES_BEFORE_SINGLE = 5
STUBBORN_FAILURES = 20
MEASURE_SECONDS = 5.0
FINISH_SECONDS = 2.0
YIELD_EVERY = 16

TRANSIENT = (Unavailable, LockedByAnother, ConnectionError, TimeoutError)

log = structlog.get_logger("bus")


class Fenced(Exception):
    """Another replica has moved the offsets meanwhile: nothing of this batch was applied."""


class Consumer:
    """One replica of a consumer. Its offsets and positions commit together with what its handlers did."""

    def __init__(
        self,
        name: str,
        database: Database,
        log: EventLog,
        handlers: Handlers,
        *,
        plan: RetryPlan | None = None,
        batch: int | None = None,
    ) -> None:
        self._name = name
        self._database = database
        self._log = log
        self._handlers = handlers
        self._plan = plan or RetryPlan()
        self._batch = batch or (BATCH_ON_SQLITE if database.dialect == "sqlite" else BATCH)
        self._retries = ParkedRetries(name, database, handlers, self._plan)
        self._failures = 0
        self._stubborn: Counter[tuple[Partition, int]] = Counter()
        self._stuck: dict[Partition, int] = {}
        """Where reading stopped because the log has dropped what comes next, until a person decides."""
        self._reached: dict[Partition, int] = {}
        self._shown: set[Partition] = set()
        self._subscription: Subscription | None = None
        for counter in (metrics.GAPS, metrics.LOG_REWOUND):
            counter.labels(name)  # Shown as zero from the start, or nobody would see the first one as a change.
        self.turned_at = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Apply events until `stop`; retries what is parked as well."""
        helpers = [asyncio.create_task(self._retries.run(stop)), asyncio.create_task(self._measure())]
        try:
            if self._handlers.topics:
                await self._consume(stop)
            else:
                self.turned_at = math.inf
                await stop.wait()
        finally:
            if stop.is_set():
                await asyncio.wait(helpers[:1], timeout=FINISH_SECONDS)
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _consume(self, stop: asyncio.Event) -> None:
        subscription = self._log.subscribe(self._name, self._handlers.topics, self._load_offsets)
        self._subscription = subscription
        topics_exist = False
        try:
            while not stop.is_set():
                self.turned_at = time.monotonic()
                try:
                    if not topics_exist:
                        await run_until(stop, self._log.ensure_topics(self._handlers.topics), grace=FINISH_SECONDS)
                        topics_exist = True
                    await self._step(subscription, stop)
                    self._failures = 0
                except TRANSIENT as error:
                    self._failures += 1
                    log.warning("consumer waits", consumer=self._name, error=repr(error)[:200])
                    await wait_for_any(stop, timeout=self._backoff())
                except Exception:
                    self._failures += 1
                    log.exception("consumer failed and goes on", consumer=self._name)
                    await wait_for_any(stop, timeout=self._backoff())
        finally:
            self._subscription = None
            await subscription.close()

    async def _step(self, subscription: Subscription, stop: asyncio.Event) -> None:
        batches = await run_until(stop, subscription.poll(self._batch, POLL_SECONDS), grace=0)
        if not batches:
            return
        try:
            await run_until(stop, self._apply(batches), grace=FINISH_SECONDS)
        except BaseException as error:
            # Whatever was not applied is read again from the stored offsets.
            subscription.rewind(batches)
            if not isinstance(error, Fenced):
                raise
            metrics.FENCED.labels(self._name).inc()
            log.info("batch was fenced", consumer=self._name)

    async def _apply(self, batches: Mapping[Partition, Batch]) -> None:
        if self._failures < BATCH_FAILURES_BEFORE_SINGLE:
            try:
                await self._apply_together(batches)
                return
            except (Fenced, *TRANSIENT):
                raise
            except Exception as error:
                log.warning("batch redone one at a time", consumer=self._name, error=type(error).__name__)
        for partition, batch in batches.items():
            start = batch.start
            for index, record in enumerate(batch.records):
                end = batch.next if index == len(batch.records) - 1 else record.offset + 1
                await self._apply_alone(partition, Batch(start, [record], end))
                start = end
        self._stubborn.clear()

    async def _apply_alone(self, partition: Partition, batch: Batch) -> None:
        """Three quick tries, then the event is parked and blocks its key."""
        for attempt in range(1, QUICK_TRIES + 1):
            try:
                await self._apply_together({partition: batch})
                return
            except Fenced:
                raise
            except TRANSIENT as error:
                if not await self._is_stubborn(partition, batch.start):
                    raise
                await self._apply_together({partition: batch}, park_with=error)
                return
            except Exception as error:
                if attempt == QUICK_TRIES:
                    await self._apply_together({partition: batch}, park_with=error)
                    return
                await asyncio.sleep(QUICK_PAUSE_SECONDS * attempt)

    async def _is_stubborn(self, partition: Partition, offset: int) -> bool:
        """Whether this one event keeps meeting `transient` trouble while the database answers: then it is the event."""
        self._stubborn[partition, offset] += 1
        if self._stubborn[partition, offset] < STUBBORN_FAILURES:
            return False
        await self._database.real_now()
        return True

    async def _apply_together(self, batches: Mapping[Partition, Batch], *, park_with: Exception | None = None) -> None:
        self.turned_at = time.monotonic()
        arrivals = [read_arrival(record) for batch in batches.values() for record in batch.records]
        counts: Counter[str] = Counter()
        async with self._database.transaction() as tx:
            moves = {partition: (batch.start, batch.next) for partition, batch in batches.items()}
            offsets = await positions.advance_offsets(tx, self._name, moves)
            if offsets is None:
                raise Fenced()
            work = Work(tx, self._name, self._handlers, self._plan, offsets, counts)
            await work.load({arrival.stream for arrival in arrivals})
            for index, arrival in enumerate(arrivals):
                await work.take(arrival, park_with)
                if index % YIELD_EVERY == YIELD_EVERY - 1:
                    await asyncio.sleep(0)
            await work.save()
        self._reached.update({partition: batch.next for partition, batch in batches.items()})
        self._count(counts)

    def _count(self, counts: Counter[str]) -> None:
        metrics.APPLIED.labels(self._name).inc(counts["applied"])
        metrics.DUPLICATES.labels(self._name).inc(counts["duplicates"])
        metrics.UNKNOWN.labels(self._name).inc(counts["unknown"])
        metrics.GAPS.labels(self._name).inc(counts["gaps"])
        if counts["parked"] or counts["filled"]:
            self._retries.wake.set()

    async def _load_offsets(self, assigned: Collection[Partition], read_bounds: ReadBounds) -> Mapping[Partition, int]:
        """Our own offsets rule; the log's bounds only say whether they can still be served."""
        topics = {partition.topic for partition in assigned}
        async with self._database.reading() as reader:
            stored = await positions.read_offsets(reader, self._name, topics)
        bounds = await read_bounds()
        new = {partition: bounds[partition].oldest for partition in assigned if partition not in stored}
        if new:
            async with self._database.transaction() as tx:
                await positions.begin_at(tx, self._name, new)
                stored = await positions.read_offsets(tx, self._name, topics)
        offsets = {}
        for partition in assigned:
            offset, (oldest, end) = stored[partition].next, bounds[partition]
            if offset == FROM_THE_OLDEST:
                async with self._database.transaction() as tx:
                    await positions.go_on_at(tx, self._name, partition, oldest)
                offset = oldest
            if offset < oldest:
                self._stop_at_loss(partition, offset, oldest)
                continue
            if offset > end and partition not in new:
                offset = await self._start_over(partition, offset, end, oldest)
            self._reached[partition] = offset
            self._go_on(partition)
            offsets[partition] = offset
        return offsets

    def _stop_at_loss(self, partition: Partition, offset: int, oldest: int) -> None:
        self._stuck[partition] = offset
        metrics.RETENTION_PASSED.labels(self._name, partition.topic, partition.number).set(1)
        log.error(
            "the log dropped records before they were read; see `mainstay consumers list` and `restart`",
            consumer=self._name,
            topic=partition.topic,
            partition=partition.number,
            next_offset=offset,
            oldest=oldest,
        )

    def _go_on(self, partition: Partition) -> None:
        self._stuck.pop(partition, None)
        metrics.RETENTION_PASSED.labels(self._name, partition.topic, partition.number).set(0)

    async def _start_over(self, partition: Partition, offset: int, end: int, oldest: int) -> int:
        """The log lost its end or was made anew: read all it has, what was applied is dropped by its position."""
        metrics.LOG_REWOUND.labels(self._name).inc()
        log.error(
            "the log ends before the stored offset; reading it again",
            consumer=self._name,
            topic=partition.topic,
            partition=partition.number,
            next_offset=offset,
            end=end,
        )
        async with self._database.transaction() as tx:
            await positions.restart_from(tx, self._name, partition, oldest)
        return oldest

    def _backoff(self) -> float:
        longest: float = min(FIRST_BACKOFF_SECONDS * 2 ** min(self._failures - 1, 10), LONGEST_BACKOFF_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_SECONDS)
            try:
                await self._retries.measure()
                if self._subscription is not None:
                    self._show_lag(await self._subscription.lag(self._reached))
                    self._subscription.rewind(await self._to_be_settled())
            except TRANSIENT as error:
                log.info("consumer not measured", consumer=self._name, error=type(error).__name__)
            except Exception:
                log.exception("measuring a consumer failed and goes on", consumer=self._name)

    async def _to_be_settled(self) -> set[Partition]:
        """Partitions that stopped, or that a person wants read again: nothing new has to come for that to be seen."""
        async with self._database.reading() as reader:
            stored = await positions.read_offsets(reader, self._name, self._handlers.topics)
        stopped = dict(self._stuck)
        for partition, offset in stopped.items():
            # Also where another replica has the partition by now: nobody here would load its offset again.
            if partition in stored and stored[partition].next != offset:
                self._go_on(partition)
        put_back = {each for each, offset in stored.items() if offset.next < self._reached.get(each, offset.next)}
        return put_back | stopped.keys()

    def _show_lag(self, lags: Mapping[Partition, Lag]) -> None:
        for partition in self._shown - lags.keys():
            for gauge in (metrics.LAG_RECORDS, metrics.LAG_SECONDS):
                with suppress(KeyError):
                    gauge.remove(self._name, partition.topic, partition.number)
        for partition, lag in lags.items():
            labels = (self._name, partition.topic, partition.number)
            metrics.LAG_RECORDS.labels(*labels).set(lag.records)
            metrics.LAG_SECONDS.labels(*labels).set(lag.seconds)
        self._shown = set(lags)
