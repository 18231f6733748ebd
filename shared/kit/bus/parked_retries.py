"""Tries parked events again: the head of each blocked key when it is due, then those behind it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import sqlalchemy as sa
import structlog

from shared.events.envelope import Envelope
from shared.kernel.errors import Unavailable
from shared.kit.bus import metrics, positions
from shared.kit.bus.clock import real_now
from shared.kit.bus.doorbell import wait_for_any
from shared.kit.bus.handlers import Handlers, run_handlers
from shared.kit.bus.parking import (
    BLOCKING,
    Gap,
    NoSuchParkedEvent,
    NotBlocking,
    ParkedEvent,
    RetryPlan,
    class_of,
    gap_text,
    locked_head,
    promote_next,
    text_of,
)
from shared.kit.bus.positions import Verdict
from shared.kit.bus.tables import parked_events
from shared.kit.db import Database, LockedByAnother, Transaction

DUE_AT_ONCE = 100
IDLE_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.05

log = structlog.get_logger("bus")


class ParkedRetries:
    """Retries the head of each blocked key when it is due and, once it is applied, those behind it in order."""

    def __init__(self, consumer: str, database: Database, handlers: Handlers, plan: RetryPlan) -> None:
        self._consumer = consumer
        self._database = database
        self._handlers = handlers
        self._plan = plan
        self.wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        self._database.doorbells.append(self.wake.set)
        try:
            while not stop.is_set():
                self.wake.clear()
                pause = IDLE_SECONDS
                try:
                    pause = await self._until_next()
                    if pause <= 0:
                        await self.run_due(stop)
                        continue
                except (Unavailable, LockedByAnother) as error:
                    log.info("parked events not retried", consumer=self._consumer, error=type(error).__name__)
                except Exception:
                    log.exception("retries failed and go on", consumer=self._consumer)
                # The doorbell rings for every command of a busy service; a look now and then is enough.
                await wait_for_any(stop, timeout=min(SHORTEST_PAUSE_SECONDS, pause))
                await wait_for_any(stop, self.wake, timeout=pause - SHORTEST_PAUSE_SECONDS)
        finally:
            self._database.doorbells.remove(self.wake.set)

    async def run_due(self, stop: asyncio.Event | None = None) -> int:
        """Retry what is due now, each in its own transaction; returns how many were applied."""
        now = await self._database.real_now()
        columns = parked_events.c
        async with self._database.reading() as reader:
            due = await reader.rows(
                sa.select(columns.id)
                .where(
                    columns.consumer == self._consumer,
                    sa.text("status = 'waiting'"),
                    columns.next_attempt_at <= now,
                )
                .order_by(columns.next_attempt_at)
                .limit(DUE_AT_ONCE)
            )
        applied = 0
        for (parked_id,) in due:
            next_id: UUID | None = parked_id
            while next_id is not None and not (stop and stop.is_set()):
                done, next_id = await self._attempt(next_id)
                applied += done
        return applied

    async def _until_next(self) -> float:
        """Seconds to the next retry, but no more than until the next look."""
        columns = parked_events.c
        async with self._database.reading() as reader:
            due = await reader.scalar(
                sa.select(sa.func.min(columns.next_attempt_at)).where(
                    columns.consumer == self._consumer, sa.text("status = 'waiting'")
                )
            )
            now = await real_now(reader)
        return IDLE_SECONDS if due is None else min((due - now).total_seconds(), IDLE_SECONDS)

    async def _attempt(self, parked_id: UUID) -> tuple[bool, UUID | None]:
        """Whether the event was applied, and the one that is next of its key."""
        parked: ParkedEvent | None = None
        try:
            async with self._database.transaction() as tx:
                parked = await self._due_head(tx, parked_id)
                if parked is None:
                    return False, None
                next_id = await self._apply(tx, parked)
        except Exception as error:
            # When the database is away this fails too, and nothing counts.
            if parked is None:
                raise
            await self._failed(parked, error)
            return False, None
        log.info("parked event applied", consumer=self._consumer, topic=parked.topic, key=parked.key)
        return True, next_id

    async def _due_head(self, tx: Transaction, parked_id: UUID) -> ParkedEvent | None:
        try:
            parked = await locked_head(tx, parked_id)
        except (NoSuchParkedEvent, NotBlocking):
            return None
        due = parked.next_attempt_at is not None and parked.next_attempt_at <= await real_now(tx)
        return parked if due else None

    async def _apply(self, tx: Transaction, parked: ParkedEvent) -> UUID | None:
        envelope = Envelope.from_binary(parked.headers, parked.value)
        last = (await positions.read_positions(tx, self._consumer, [parked.stream])).get(parked.stream)
        offset = await positions.lock_partition(tx, self._consumer, parked.topic, parked.partition)
        verdict = positions.judge(last, parked.position, from_the_beginning=offset is None or offset.start == 0)
        if verdict is Verdict.GAP:
            raise Gap(gap_text(last, parked.position))
        if verdict is Verdict.NEXT:
            await run_handlers(tx, envelope, self._handlers.handlers_of(envelope))
            await positions.write_positions(tx, self._consumer, {parked.stream: parked.position})
        await tx.execute(sa.delete(parked_events).where(parked_events.c.id == parked.id))
        return await promote_next(tx, self._consumer, parked.stream, await real_now(tx))

    async def _failed(self, parked: ParkedEvent, error: Exception) -> None:
        attempts = parked.attempts + 1
        held = attempts >= self._plan.attempts
        async with self._database.transaction() as tx:
            await positions.lock_partition(tx, self._consumer, parked.topic, parked.partition)
            now = await real_now(tx)
            await tx.execute(
                sa.update(parked_events)
                .where(
                    parked_events.c.id == parked.id,
                    parked_events.c.status == "waiting",
                    parked_events.c.attempts == parked.attempts,
                )
                .values(
                    attempts=attempts,
                    status="held" if held else "waiting",
                    next_attempt_at=None if held else now + self._plan.delay(attempts),
                    error_class=class_of(error),
                    error=text_of(error),
                )
            )
        log.warning(
            "parked event failed again",
            consumer=self._consumer,
            topic=parked.topic,
            key=parked.key,
            attempts=attempts,
            waits_for_a_person=held,
            error=type(error).__name__,
        )

    async def measure(self) -> None:
        columns = parked_events.c
        async with self._database.reading() as reader:
            row = await reader.row(
                sa.select(sa.func.count().label("keys"), sa.func.min(columns.parked_at).label("oldest")).where(
                    columns.consumer == self._consumer, BLOCKING
                )
            )
        now = await self._database.real_now()
        age = (now - row.oldest).total_seconds() if row is not None and row.oldest else 0.0
        metrics.PARKED_KEYS.labels(self._consumer).set(row.keys if row is not None else 0)
        metrics.PARKED_AGE.labels(self._consumer).set(max(age, 0.0))
