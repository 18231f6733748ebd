"""Timers that wait for a person, and how late the others are."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from prometheus_client import Gauge

from shared.kernel.errors import NotFound
from shared.kit.db import Reader, Rows, Transaction
from shared.kit.measuring import Reading
from shared.kit.tables import timers

OLDEST_DUE = Gauge(
    "mainstay_timers_oldest_due_seconds", "How late the oldest due timer is that nobody has tried yet", ["service"]
)
PARKED = Gauge("mainstay_timers_parked", "Timers that wait for a person", ["service"])
OLDEST_PARKED = Gauge(
    "mainstay_timers_oldest_parked_seconds", "How long the oldest parked timer has waited", ["service"]
)


class NoSuchTimer(NotFound):
    """There is no such timer."""


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


async def retry(tx: Transaction, timer_id: UUID) -> None:
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
