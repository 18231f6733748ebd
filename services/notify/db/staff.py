"""Where staff is reached, and shifts on call."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.notify.db.tables import on_call_shifts, staff_contacts
from services.notify.domain.contact import Language
from services.notify.domain.staff import NoSuchShift, NoSuchStaff, Shift, StaffContact
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

_STANDING = sa.text("cancelled_at IS NULL")


async def find(reader: Reader, subject: str) -> StaffContact | None:
    row = await reader.row(sa.select(staff_contacts).where(staff_contacts.c.subject == subject))
    return None if row is None else _contact(row)


async def get_for_update(tx: Transaction, subject: str) -> StaffContact:
    """Raises NoSuchStaff."""
    row = await tx.row(sa.select(staff_contacts).where(staff_contacts.c.subject == subject).with_for_update())
    if row is None:
        raise NoSuchStaff()
    return _contact(row)


async def add(tx: Transaction, contact: StaffContact) -> bool:
    """False when there is one of that subject."""
    return await tx.insert_once(staff_contacts, vars(contact), on=["subject"])


async def save(tx: Transaction, contact: StaffContact) -> None:
    """Raises StaleWrite."""
    columns = staff_contacts.c
    guarded = sa.update(staff_contacts).where(columns.subject == contact.subject, columns.version == contact.version)
    contact.version += 1
    if (await tx.execute(guarded.values(**vars(contact)))).rowcount != 1:
        raise StaleWrite()


async def remove(tx: Transaction, subject: str) -> None:
    """With the shifts that are over; those to come are looked for before."""
    await tx.execute(sa.delete(on_call_shifts).where(on_call_shifts.c.subject == subject))
    await tx.execute(sa.delete(staff_contacts).where(staff_contacts.c.subject == subject))


async def all_contacts(reader: Reader, *, most: int) -> list[StaffContact]:
    rows = await reader.rows(sa.select(staff_contacts).order_by(staff_contacts.c.subject).limit(most))
    return [_contact(row) for row in rows]


async def administrators(reader: Reader) -> list[StaffContact]:
    query = sa.select(staff_contacts).where(staff_contacts.c.administrator).order_by(staff_contacts.c.subject)
    return [_contact(row) for row in await reader.rows(query)]


async def on_call(reader: Reader, position: int | None = None) -> list[tuple[Shift, StaffContact]]:
    """Who is on call at this moment, in that position or in any; first positions first."""
    columns = on_call_shifts.c
    query = (
        sa.select(on_call_shifts, staff_contacts.c.email, staff_contacts.c.language, staff_contacts.c.administrator)
        .join(staff_contacts, staff_contacts.c.subject == columns.subject)
        .where(_STANDING, columns.starts_at <= reader.now, columns.ends_at > reader.now)
        .order_by(columns.position, columns.subject, columns.id)
    )
    if position is not None:
        query = query.where(columns.position == position)
    found = []
    for row in await reader.rows(query):
        values = dict(row._mapping)
        reached = {name: values.pop(name) for name in ("email", "language", "administrator")}
        contact = StaffContact(subject=row.subject, **{**reached, "language": Language(row.language)})
        found.append((Shift(**values), contact))
    return found


async def add_shift(tx: Transaction, shift: Shift) -> None:
    await tx.insert(on_call_shifts, vars(shift))


async def get_shift_for_update(tx: Transaction, shift_id: UUID) -> Shift:
    """Raises NoSuchShift."""
    row = await tx.row(sa.select(on_call_shifts).where(on_call_shifts.c.id == shift_id).with_for_update())
    if row is None:
        raise NoSuchShift()
    return Shift(**row._mapping)


async def cancel_shift(tx: Transaction, shift: Shift) -> None:
    query = sa.update(on_call_shifts).where(on_call_shifts.c.id == shift.id)
    await tx.execute(query.values(cancelled_at=shift.cancelled_at))


async def shifts_to_come(
    reader: Reader, *, subject: str | None = None, after: UUID | None = None, limit: int = 1
) -> list[Shift]:
    """Up to `limit` + 1 standing shifts that are not over, in id order."""
    columns = on_call_shifts.c
    query: sa.Select[Any] = sa.select(on_call_shifts).where(_STANDING, columns.ends_at > reader.now)
    if subject is not None:
        query = query.where(columns.subject == subject)
    if after is not None:
        query = query.where(columns.id > after)
    return [Shift(**row._mapping) for row in await reader.rows(query.order_by(columns.id).limit(limit + 1))]


def _contact(row: sa.Row[Any]) -> StaffContact:
    return StaffContact(**{**row._mapping, "language": Language(row.language)})
