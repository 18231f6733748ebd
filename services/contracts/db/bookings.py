"""Rows of technicians, what they are booked for, and the secrets of their calendars."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import bookings, servers, technicians, work_requests
from services.contracts.domain.booking import Booking, Place, Slot
from services.contracts.domain.calendar import SHOWN_AFTER_THE_END, Entry, NoSuchCalendar, SecretTaken
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


async def entries_of(reader: Reader, technician: str) -> list[Entry]:
    """Up to MOST_SHOWN entries of the calendar, by their time, from thirty days ago on; cancelled ones too."""
    columns = bookings.c
    query = (
        sa.select(
            bookings,
            work_requests.c.contract_id,
            work_requests.c.operation_code,
            work_requests.c.note,
            servers.c.name.label("server"),
        )
        .join(work_requests, work_requests.c.id == columns.work_request_id)
        .join(servers, servers.c.id == work_requests.c.server_id)
        .where(columns.technician == technician, columns.ends_at > reader.now - SHOWN_AFTER_THE_END)
        .order_by(columns.ends_at, columns.work_request_id)
        .limit(MOST_SHOWN)
    )
    return [_entry(row) for row in await reader.rows(query)]


async def technician_by(reader: Reader, secret_sha256: str) -> str:
    """Whose calendar the secret opens; raises NoSuchCalendar."""
    subject: str | None = await reader.scalar(
        sa.select(technicians.c.subject).where(technicians.c.feed_sha256 == secret_sha256)
    )
    if subject is None:
        raise NoSuchCalendar()
    return subject


async def keep_secret(tx: Transaction, technician: str, secret_sha256: str) -> None:
    """In place of the one before; raises SecretTaken."""
    await lock(tx, technician)
    taken = sa.select(technicians.c.subject).where(
        technicians.c.feed_sha256 == secret_sha256, technicians.c.subject != technician
    )
    if await tx.row(taken) is not None:
        raise SecretTaken(field="secret_sha256")
    values = {"feed_sha256": secret_sha256, "feed_made_at": tx.now}
    await tx.execute(sa.update(technicians).where(technicians.c.subject == technician).values(**values))


async def forget_secret(tx: Transaction, technician: str) -> None:
    """Raises NoSuchCalendar when there is none."""
    known = sa.update(technicians).where(technicians.c.subject == technician, technicians.c.feed_sha256.is_not(None))
    if (await tx.execute(known.values(feed_sha256=None, feed_made_at=None))).rowcount == 0:
        raise NoSuchCalendar()


def _entry(row: sa.Row[Any]) -> Entry:
    booking = Booking(
        work_request_id=row.work_request_id,
        technician=row.technician,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        place=Place(row.place),
        sequence=row.sequence,
        live=row.live,
        cancelled=row.cancelled,
        changed_at=row.changed_at,
    )
    return Entry(
        booking=booking,
        contract_id=row.contract_id,
        operation_code=row.operation_code,
        server=row.server,
        note=row.note,
    )
