"""Timers are rows: what a service says about when something is to happen, and what it does when the time comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.bus.handlers import bind_causes
from shared.kit.db import Database, Transaction
from shared.kit.tables import timers
from shared.kit.timer_claims import is_claimed, let_go

if TYPE_CHECKING:
    from shared.kit.runtime import Runtime


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
    with traced(tx.database, timer):
        if tx.database.tracing is not None:
            tx.traceparent = tx.database.tracing.traceparent()
        yield
        bind_causes(tx, facts_before)


def traced(database: Database, timer: Timer) -> AbstractContextManager[Any]:
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
