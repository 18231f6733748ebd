"""Timers are rows: what happens at a time is claimed with a lease by any replica and done once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from prometheus_client import Counter, Gauge

from shared.kernel.errors import NotFound, Unavailable
from shared.kernel.ids import new_id
from shared.kit.db import Database, LockedByAnother, Reader, Rows, Transaction
from shared.kit.tables import timers

if TYPE_CHECKING:
    from shared.kit.runtime import Runtime

BATCH = 100
JOBS_AT_ONCE = 4
LEASE = timedelta(seconds=30)
ATTEMPTS_BEFORE_PARKING = 6
LONGEST_BACKOFF_SECONDS = 300
IDLE_SECONDS = 0.5

log = structlog.get_logger("schedule")
DONE = Counter("mainstay_timers_done_total", "Timers handled", ["service", "kind"])
FAILED = Counter("mainstay_timers_failed_total", "Timer attempts that failed", ["service", "kind"])
OLDEST_DUE = Gauge("mainstay_timers_oldest_due_seconds", "Age of the oldest due timer", ["service"])
PARKED = Gauge("mainstay_timers_parked", "Timers that wait for a person", ["service"])


class NoSuchTimer(NotFound):
    """There is no such timer."""


class TryLater(Exception):
    """Raised by a job whose third party is away: the timer stays due and is tried again after `delay`."""

    def __init__(self, reason: str, delay: timedelta) -> None:
        super().__init__(reason)
        self.delay = delay


@dataclass(frozen=True)
class Timer:
    """One thing that is due; `subject_id` is the aggregate it is about."""

    id: UUID
    kind: str
    subject_id: UUID
    due_at: datetime
    payload: dict[str, Any]
    correlation_id: str
    attempts: int


TimerHandler = Callable[[Transaction, Timer], Awaitable[None]]
JobHandler = Callable[["Runtime", Timer], Awaitable[None]]


class Timers:
    """The kinds of timer a service handles.

    `when` handlers run inside the transaction that deletes the timer. `job` handlers call third
    parties: they run outside any transaction under a lease that is renewed, may run again after a
    crash, and must find out what the run before them achieved.
    """

    def __init__(self) -> None:
        self.handlers: dict[str, TimerHandler] = {}
        self.jobs: dict[str, JobHandler] = {}

    def when(self, kind: str) -> Callable[[TimerHandler], TimerHandler]:
        def register(handler: TimerHandler) -> TimerHandler:
            self.handlers[kind] = handler
            return handler

        return register

    def job(self, kind: str) -> Callable[[JobHandler], JobHandler]:
        def register(handler: JobHandler) -> JobHandler:
            self.jobs[kind] = handler
            return handler

        return register


async def set_timer(
    tx: Transaction, kind: str, subject_id: UUID, due_at: datetime, payload: dict[str, Any] | None = None
) -> None:
    """Have `kind` happen to `subject_id` at `due_at`; an earlier timer of that kind and subject is moved."""
    values = {
        "id": new_id(),
        "kind": kind,
        "subject_id": subject_id,
        "due_at": due_at,
        "payload": payload or {},
        "correlation_id": tx.correlation_id or str(new_id()),
        "attempts": 0,
        "leased_by": None,
        "leased_until": None,
        "parked_at": None,
        "last_error": None,
    }
    update = [name for name in values if name not in {"kind", "subject_id"}]
    await tx.upsert(timers, values, on=["kind", "subject_id"], update=update)
    tx.rings = tx.rings or due_at <= tx.now


async def cancel_timer(tx: Transaction, kind: str, subject_id: UUID) -> None:
    await tx.execute(sa.delete(timers).where(timers.c.kind == kind, timers.c.subject_id == subject_id))


async def list_parked(reader: Reader, *, limit: int) -> Rows:
    """Timers that wait for a person, oldest first."""
    columns = timers.c
    return await reader.rows(
        sa.select(
            columns.id,
            columns.kind,
            columns.subject_id,
            columns.due_at,
            columns.attempts,
            columns.last_error,
            columns.parked_at,
        )
        .where(columns.parked_at.is_not(None))
        .order_by(columns.parked_at, columns.id)
        .limit(limit)
    )


async def retry_parked(tx: Transaction, timer_id: UUID) -> None:
    """Let a parked timer run again now; raises NoSuchTimer."""
    result = await tx.execute(
        sa.update(timers)
        .where(timers.c.id == timer_id, timers.c.parked_at.is_not(None))
        .values(parked_at=None, attempts=0, leased_by=None, leased_until=None)
    )
    if result.rowcount != 1:
        raise NoSuchTimer()
    tx.rings = True


class TimerRunner:
    """Claims due timers of one service and runs them, each in its own transaction."""

    def __init__(self, runtime: Runtime, table: Timers) -> None:
        self._runtime = runtime
        self._database: Database = runtime.database
        self._table = table
        self._owner = new_id()
        self._jobs: dict[UUID, asyncio.Task[None]] = {}
        self.wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; jobs under way get a moment to finish, then their lease runs out for another replica."""
        while not stop.is_set():
            try:
                busy = await self.run_due()
            except (Unavailable, LockedByAnother):
                busy = False
            except Exception as error:
                log.error("claiming timers failed", service=self._runtime.name, error=type(error).__name__)
                busy = False
            if not busy:
                self.wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), IDLE_SECONDS)
        for task in self._jobs.values():
            task.cancel()
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    async def run_due(self) -> bool:
        """Claim and run one batch; True when there was work."""
        claimed = await self._claim()
        for timer in claimed:
            if timer.kind in self._table.jobs:
                task = asyncio.create_task(self._run_job(timer))
                self._jobs[timer.id] = task
                task.add_done_callback(lambda _task, id=timer.id: self._forget_job(id))  # type: ignore[misc]
            else:
                await self._run_in_transaction(timer)
        return bool(claimed)

    def _forget_job(self, timer_id: UUID) -> None:
        self._jobs.pop(timer_id, None)
        self.wake.set()

    async def _claim(self) -> list[Timer]:
        real_now = await self._database.real_now()
        free_jobs = JOBS_AT_ONCE - len(self._jobs)
        kinds = list(self._table.handlers) + (list(self._table.jobs) if free_jobs > 0 else [])
        async with self._database.transaction() as tx:
            due = (
                sa.select(timers.c.id, timers.c.kind)
                .where(
                    sa.text("parked_at IS NULL"),
                    timers.c.due_at <= tx.now,
                    timers.c.kind.in_(kinds),
                    sa.or_(timers.c.leased_until.is_(None), timers.c.leased_until < real_now),
                )
                .order_by(timers.c.due_at, timers.c.id)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
            ids: list[UUID] = []
            for row in await tx.rows(due):
                if row.kind in self._table.jobs:
                    if free_jobs <= 0:
                        continue
                    free_jobs -= 1
                ids.append(row.id)
            if not ids:
                OLDEST_DUE.labels(self._runtime.name).set(0)
                return []
            claimed = await tx.rows(
                sa.update(timers)
                .where(timers.c.id.in_(ids))
                .values(leased_by=self._owner, leased_until=real_now + LEASE, attempts=timers.c.attempts + 1)
                .returning(*_COLUMNS)
            )
            OLDEST_DUE.labels(self._runtime.name).set(
                max(((tx.now - row.due_at).total_seconds() for row in claimed), default=0)
            )
        found = [Timer(**row._mapping) for row in claimed]
        return sorted(found, key=lambda timer: (timer.due_at, timer.id))

    async def _run_in_transaction(self, timer: Timer) -> None:
        handler = self._table.handlers[timer.kind]
        try:
            async with self._database.transaction() as tx:
                if not await self._finish(tx, timer):
                    return
                tx.correlation_id = timer.correlation_id
                tx.actor = f"timer:{timer.kind}"
                await handler(tx, timer)
        except Exception as error:
            await self._failed(timer, error)
        else:
            DONE.labels(self._runtime.name, timer.kind).inc()

    async def _run_job(self, timer: Timer) -> None:
        beat = asyncio.create_task(self._keep_lease(timer))
        try:
            await self._table.jobs[timer.kind](self._runtime, timer)
            async with self._database.transaction() as tx:
                await self._finish(tx, timer)
        except Exception as error:
            await self._failed(timer, error)
        else:
            DONE.labels(self._runtime.name, timer.kind).inc()
        finally:
            beat.cancel()

    async def _keep_lease(self, timer: Timer) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            with suppress(Unavailable, LockedByAnother):
                real_now = await self._database.real_now()
                async with self._database.transaction() as tx:
                    await tx.execute(
                        sa.update(timers)
                        .where(timers.c.id == timer.id, timers.c.leased_by == self._owner)
                        .values(leased_until=real_now + LEASE)
                    )

    async def _finish(self, tx: Transaction, timer: Timer) -> bool:
        """Delete the timer if this claim still holds; a replica whose lease was taken over does nothing."""
        result = await tx.execute(
            sa.delete(timers).where(
                timers.c.id == timer.id,
                timers.c.leased_by == self._owner,
                timers.c.attempts == timer.attempts,
            )
        )
        return result.rowcount == 1

    async def _failed(self, timer: Timer, error: Exception) -> None:
        transient = isinstance(error, TryLater | Unavailable | LockedByAnother)
        FAILED.labels(self._runtime.name, timer.kind).inc()
        log.warning(
            "timer failed",
            service=self._runtime.name,
            kind=timer.kind,
            subject_id=str(timer.subject_id),
            attempts=timer.attempts,
            error=type(error).__name__,
            exc_info=None if transient else error,
        )
        with suppress(Unavailable, LockedByAnother):
            await self._put_back(timer, error, transient=transient)

    async def _put_back(self, timer: Timer, error: Exception, *, transient: bool) -> None:
        delay = (
            error.delay.total_seconds()
            if isinstance(error, TryLater)
            else min(2.0**timer.attempts, LONGEST_BACKOFF_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311
        )
        real_now = await self._database.real_now()
        park = not transient and timer.attempts >= ATTEMPTS_BEFORE_PARKING
        async with self._database.transaction() as tx:
            await tx.execute(
                sa.update(timers)
                .where(timers.c.id == timer.id, timers.c.leased_by == self._owner)
                .values(
                    leased_by=None,
                    leased_until=real_now + timedelta(seconds=delay),
                    last_error=f"{type(error).__name__}: {error}"[:500],
                    parked_at=real_now if park else None,
                )
            )
            if park:
                PARKED.labels(self._runtime.name).inc()
                log.error("timer parked", service=self._runtime.name, kind=timer.kind, timer_id=str(timer.id))


_COLUMNS = [
    timers.c.id,
    timers.c.kind,
    timers.c.subject_id,
    timers.c.due_at,
    timers.c.payload,
    timers.c.correlation_id,
    timers.c.attempts,
]
