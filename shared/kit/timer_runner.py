"""Does what is due: any replica claims timers with a lease, and each is done once."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from prometheus_client import Counter

from shared.kernel.errors import Unavailable
from shared.kernel.ids import new_id
from shared.kit.bus import sets
from shared.kit.bus.clock import clock_of
from shared.kit.db import Database, LockedByAnother, Transaction, speaker
from shared.kit.schedule import Timer, Timers, TryLater, traced
from shared.kit.statements import Fixed
from shared.kit.tables import timers
from shared.kit.timer_claims import Claims, LeaseLost, is_claimed

if TYPE_CHECKING:
    from shared.kit.runtime import Runtime

BATCH = 100
BATCH_ON_SQLITE = 20
"""SQLite has one writer, and a batch is how long every command waits for it."""
JOBS_AT_ONCE = 4
LEASE = timedelta(seconds=30)
ATTEMPTS_BEFORE_PARKING = 6
LONGEST_BACKOFF_SECONDS = 300
IDLE_SECONDS = 0.5

log = structlog.get_logger("schedule")
DONE = Counter("mainstay_timers_done_total", "Timers handled", ["service", "kind"])
FAILED = Counter("mainstay_timers_failed_total", "Timer attempts that failed", ["service", "kind"])


class TimerRunner:
    """Claims due timers of one service and runs them: a batch in one transaction, halves of it if that fails."""

    def __init__(self, runtime: Runtime, table: Timers) -> None:
        self._runtime = runtime
        self._database: Database = runtime.database
        self._table = table
        self._batch = BATCH_ON_SQLITE if self._database.dialect == "sqlite" else BATCH
        self._owner = new_id()
        self._jobs: dict[UUID, asyncio.Task[None]] = {}
        self.wake = asyncio.Event()
        self.turned_at = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; jobs under way are broken off, and run again when their lease runs out for another replica."""
        while not stop.is_set():
            self.turned_at = time.monotonic()
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
        ending = list(self._jobs.values())
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def run_due(self) -> bool:
        """Claim and run one batch; True when there was work."""
        claimed = await self._claim()
        for timer in claimed:
            if timer.kind in self._table.jobs:
                task = asyncio.create_task(self._run_job(timer))
                self._jobs[timer.id] = task
                task.add_done_callback(lambda _task, id=timer.id: self._forget_job(id))  # type: ignore[misc]
        await self._run_batch([timer for timer in claimed if timer.kind not in self._table.jobs])
        return bool(claimed)

    def _forget_job(self, timer_id: UUID) -> None:
        self._jobs.pop(timer_id, None)
        self.wake.set()

    async def _claim(self) -> list[Timer]:
        free_jobs = JOBS_AT_ONCE - len(self._jobs)
        wanted = [(list(self._table.handlers), self._batch), (list(self._table.jobs), free_jobs)]
        claimed: list[Timer] = []
        if await self._is_any_due():
            async with self._database.transaction() as tx:
                for kinds, at_most in wanted:
                    if kinds and at_most > 0:
                        claimed += await self._claim_in(tx, kinds, at_most)
        return sorted(claimed, key=lambda timer: (timer.due_at, timer.id))

    async def _is_any_due(self) -> bool:
        """One statement; a claim that finds nothing costs a transaction."""
        async with self._database.reading() as reader:
            given = {"now": reader.now}
            if reader.dialect == "sqlite":
                given["clock"] = await self._database.real_now()
            return await reader.row(_ANY_DUE[reader.dialect], given) is not None

    async def _claim_in(self, tx: Transaction, kinds: list[str], at_most: int) -> list[Timer]:
        clock = await clock_of(tx)
        # A job whose lease ran out while the database was away goes on: twice at once would be twice in one folder.
        others = sa.not_(sets.among(tx, timers.c.id, self._jobs))
        due = (
            sa.select(timers.c.id)
            .where(*_due(tx.now, clock), sets.among(tx, timers.c.kind, kinds), others)
            .order_by(timers.c.due_at, timers.c.id)
            .limit(at_most)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claim = (
            sa.update(timers)
            .where(timers.c.id.in_(sa.select(due.c.id)))
            .values(
                leased_by=self._owner,
                leased_until=await clock_of(tx, after=LEASE),
                attempts=timers.c.attempts + 1,
            )
            .returning(*_COLUMNS)
        )
        return [Timer(**row._mapping) for row in await tx.rows(claim)]

    async def _run_batch(self, batch: list[Timer]) -> None:
        """In one transaction; what fails is halved until the timer that fails stands alone."""
        if not batch:
            return
        try:
            await self._run_together(batch)
        except Exception as error:
            if len(batch) > 1:
                log.info("timers divided", service=self._runtime.name, of=len(batch), error=type(error).__name__)
                middle = len(batch) // 2
                await self._run_batch(batch[:middle])
                await self._run_batch(batch[middle:])
            elif not isinstance(error, LeaseLost):
                await self._failed(batch[0], error)

    async def _run_together(self, batch: list[Timer]) -> None:
        """What the handlers do and the end of their timers commit as one; raises what they raise, and LeaseLost."""
        self.turned_at = time.monotonic()
        done: list[Timer] = []
        async with self._database.transaction() as tx:
            claims = Claims(tx, self._owner, batch)
            for handler, due in groupby(batch, key=lambda timer: self._table.handlers[timer.kind]):
                if held := [timer for timer in due if is_claimed(tx, timer)]:
                    await handler(tx, held)
                    done += held
            await claims.finish()
        for timer in done:
            DONE.labels(self._runtime.name, timer.kind).inc()

    async def _run_job(self, timer: Timer) -> None:
        beat = asyncio.create_task(self._keep_lease(timer))
        # Whatever the job commits belongs to what set its timer; it runs in a task of its own.
        speaker.set((f"timer:{timer.kind}", timer.correlation_id))
        try:
            with traced(self._database, timer):
                await self._table.jobs[timer.kind](self._runtime, timer)
            async with self._database.transaction() as tx:
                await tx.execute(
                    sa.delete(timers).where(
                        timers.c.id == timer.id,
                        timers.c.leased_by == self._owner,
                        timers.c.attempts == timer.attempts,
                    )
                )
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
                log.error("timer parked", service=self._runtime.name, kind=timer.kind, timer_id=str(timer.id))


def _due(now: Any, clock: Any) -> tuple[Any, ...]:
    columns = timers.c
    return (
        sa.text("parked_at IS NULL"),  # a literal, or a generic plan loses the partial index
        columns.due_at <= now,
        sa.or_(columns.leased_until.is_(None), columns.leased_until < clock),
    )


def _any_due(clock: Any) -> Fixed:
    return Fixed(sa.select(timers.c.id).where(*_due(sa.bindparam("now"), clock)).limit(1))


_ANY_DUE = {
    "postgresql": _any_due(sa.func.clock_timestamp()),
    "sqlite": _any_due(sa.bindparam("clock")),
}
_COLUMNS = [
    timers.c.id,
    timers.c.kind,
    timers.c.subject_id,
    timers.c.due_at,
    timers.c.payload,
    timers.c.correlation_id,
    timers.c.attempts,
]
