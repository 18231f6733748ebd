"""Timers are rows: what happens at a time is claimed with a lease by any replica and done once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from prometheus_client import Counter, Gauge

from shared.kernel.errors import NotFound, Unavailable
from shared.kernel.ids import new_id
from shared.kit.bus import sets
from shared.kit.bus.clock import clock_of
from shared.kit.bus.handlers import bind_causes
from shared.kit.db import Database, LockedByAnother, Reader, Rows, Transaction, speaker
from shared.kit.measuring import Reading
from shared.kit.statements import Fixed
from shared.kit.tables import timers
from shared.kit.timer_claims import Claims, LeaseLost, is_claimed, let_go

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
OLDEST_DUE = Gauge(
    "mainstay_timers_oldest_due_seconds", "How late the oldest due timer is that nobody has tried yet", ["service"]
)
PARKED = Gauge("mainstay_timers_parked", "Timers that wait for a person", ["service"])
OLDEST_PARKED = Gauge(
    "mainstay_timers_oldest_parked_seconds", "How long the oldest parked timer has waited", ["service"]
)


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
GroupHandler = Callable[[Transaction, Sequence[Timer]], Awaitable[None]]
JobHandler = Callable[["Runtime", Timer], Awaitable[None]]


class Timers:
    """The kinds of timer a service handles.

    `when` handlers run inside the transaction that deletes the timer, and share it with other timers
    that are due. `job` handlers call third parties: they run outside any transaction under a lease
    that is renewed, may run again after a crash, and must find out what the run before them achieved.
    """

    def __init__(self) -> None:
        self.handlers: dict[str, GroupHandler] = {}
        self.jobs: dict[str, JobHandler] = {}

    def when(self, kind: str) -> Callable[[TimerHandler], TimerHandler]:
        """`async def f(tx, timer)`"""

        def register(handler: TimerHandler) -> TimerHandler:
            self.handlers[kind] = _one_by_one(handler)
            return handler

        return register

    def when_some(self, *kinds: str) -> Callable[[GroupHandler], GroupHandler]:
        """`async def f(tx, timers)`: one call for those of these kinds that are due; acts for each in `acting_for`."""

        def register(handler: GroupHandler) -> GroupHandler:
            self.handlers.update(dict.fromkeys(kinds, handler))
            return handler

        return register

    def job(self, kind: str) -> Callable[[JobHandler], JobHandler]:
        def register(handler: JobHandler) -> JobHandler:
            self.jobs[kind] = handler
            return handler

        return register


@contextmanager
def acting_for(tx: Transaction, timer: Timer) -> Iterator[None]:
    """What is announced, decided and recorded meanwhile is this timer's doing."""
    facts_before = len(tx.facts)
    tx.correlation_id = timer.correlation_id
    tx.actor = f"timer:{timer.kind}"
    with _traced(tx.database, timer):
        if tx.database.tracing is not None:
            tx.traceparent = tx.database.tracing.traceparent()
        yield
        bind_causes(tx, facts_before)


def _traced(database: Database, timer: Timer) -> AbstractContextManager[Any]:
    """Its time has come: a trace of its own, for what set it may be a year ago."""
    if database.tracing is None:
        return nullcontext()
    return database.tracing.span(f"timer {timer.kind}", "INTERNAL", {"mainstay.attempt": timer.attempts}, parent=None)


def _one_by_one(handler: TimerHandler) -> GroupHandler:
    async def handle(tx: Transaction, due: Sequence[Timer]) -> None:
        for timer in due:
            if is_claimed(tx, timer):
                with acting_for(tx, timer):
                    await handler(tx, timer)
                await asyncio.sleep(0)

    return handle


async def set_timer(
    tx: Transaction, kind: str, subject_id: UUID, due_at: datetime, payload: dict[str, Any] | None = None
) -> None:
    """Have `kind` happen to `subject_id` at `due_at`; an earlier timer of that kind and subject is moved."""
    await let_go(tx, kind, subject_id)
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
    await let_go(tx, kind, subject_id)
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


async def measure(reader: Reader) -> list[Reading]:
    """How late the timers are, and how many wait for a person: other replicas park too, and people retry."""
    columns = timers.c
    untried = sa.select(columns.due_at).where(
        sa.text("parked_at IS NULL"), columns.due_at <= reader.now, columns.attempts == 0
    )
    due_at: datetime | None = await reader.scalar(untried.order_by(columns.due_at).limit(1))
    since = sa.type_coerce(sa.func.min(columns.parked_at), columns.parked_at.type).label("since")
    parked = await reader.row(sa.select(sa.func.count().label("number"), since).where(sa.text("parked_at IS NOT NULL")))
    assert parked is not None
    waited = await reader.database.real_now() - parked.since if parked.since else timedelta()
    return [
        Reading(OLDEST_DUE, (reader.now - due_at).total_seconds() if due_at else 0.0),
        Reading(PARKED, parked.number),
        Reading(OLDEST_PARKED, max(waited.total_seconds(), 0.0)),
    ]


class TimerRunner:
    """Claims due timers of one service and runs them: a batch in one transaction, one by one if that fails."""

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
        """Until `stop`; jobs under way get a moment to finish, then their lease runs out for another replica."""
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
        due = (
            sa.select(timers.c.id)
            .where(*_due(tx.now, clock), sets.among(tx, timers.c.kind, kinds))
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
        if len(batch) > 1:
            try:
                await self._run_together(batch)
                return
            except Exception as error:
                log.info("timers redone one at a time", service=self._runtime.name, error=type(error).__name__)
        for timer in batch:
            try:
                await self._run_together([timer])
            except LeaseLost:
                continue
            except Exception as error:
                await self._failed(timer, error)

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
            with _traced(self._database, timer):
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
