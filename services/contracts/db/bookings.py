"""Rows of technicians and what they are booked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import bookings, technicians
from services.contracts.domain.booking import Booking, Place, Slot
from shared.kit.db import Reader, Transaction

MOST_SHOWN = 1000


async def lock(tx: Transaction, technician: str) -> None:
    """Nobody else books this technician until the end of `tx`; after the locks of contract and work request."""
    values = {"subject": technician, "feed_sha256": None, "feed_made_at": None}
    await tx.insert_once(technicians, values, on=["subject"])
    await tx.row(sa.select(technicians.c.subject).where(technicians.c.subject == technician).with_for_update())


async def clashes(reader: Reader, slot: Slot, *, except_for: UUID) -> bool:
    """Whether the technician is booked for other work within the slot."""
    columns = bookings.c
    found = await reader.row(
        sa.select(columns.work_request_id)
        .where(
            columns.technician == slot.technician,
            columns.ends_at > slot.starts_at,
            columns.starts_at < slot.ends_at,
            columns.live,
            columns.work_request_id != except_for,
        )
        .limit(1)
    )
    return found is not None


async def book(tx: Transaction, work_request_id: UUID, slot: Slot) -> None:
    """Give the work to that technician at that time, and to nobody else."""
    await _let_go(tx, work_request_id, tx.now, cancelled=True, unless=slot.technician)
    columns = bookings.c
    values = {"starts_at": slot.starts_at, "ends_at": slot.ends_at, "place": slot.place, "changed_at": tx.now}
    again = sa.update(bookings).where(columns.work_request_id == work_request_id, columns.technician == slot.technician)
    changed = again.values(**values, sequence=columns.sequence + 1, live=True, cancelled=False)
    if (await tx.execute(changed)).rowcount == 0:
        first = {"work_request_id": work_request_id, "technician": slot.technician, "sequence": 0}
        await tx.insert(bookings, {**first, **values, "live": True, "cancelled": False})


async def finish(tx: Transaction, work_request_id: UUID) -> None:
    """The technician's time is free again; the work stays in the calendar."""
    await _let_go(tx, work_request_id, tx.now, cancelled=False)


async def cancel(tx: Transaction, work_request_id: UUID) -> None:
    """The work is not going to be done."""
    await _let_go(tx, work_request_id, tx.now, cancelled=True)


async def _let_go(
    tx: Transaction, work_request_id: UUID, now: datetime, *, cancelled: bool, unless: str | None = None
) -> None:
    columns = bookings.c
    query = sa.update(bookings).where(columns.work_request_id == work_request_id, columns.live)
    if unless is not None:
        query = query.where(columns.technician != unless)
    await tx.execute(query.values(live=False, cancelled=cancelled, sequence=columns.sequence + 1, changed_at=now))


def booking_of(row: sa.Row[Any]) -> Booking:
    values = {name: value for name, value in row._mapping.items() if name in Booking.__dataclass_fields__}
    return Booking(**{**values, "place": Place(row.place)})
