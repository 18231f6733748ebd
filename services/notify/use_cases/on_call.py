"""Who of the company is reached where, and who is on call when (1.3)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from services.notify.db import staff
from services.notify.domain.contact import Language, address_of
from services.notify.domain.staff import NoSuchStaff, Shift, StaffContact, StillOnCall, check_shift
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.audit_trail import COMPANY_CHAIN
from shared.kit.db import Transaction


async def put_staff_contact(
    tx: Transaction, subject: str, *, email: str, language: Language, administrator: bool
) -> StaffContact:
    """Raises NotAnAddress."""
    new = StaffContact(subject=subject, email=address_of(email), language=language, administrator=administrator)
    if not await staff.add(tx, new):
        known = await staff.get_for_update(tx, subject)
        known.change(email=email, language=language, administrator=administrator)
        await staff.save(tx, known)
        new = known
    audit_trail.record(tx, None, "put-staff-contact", _known_as(subject), administrator=administrator)
    return new


async def remove_staff_contact(tx: Transaction, subject: str) -> None:
    """Raises NoSuchStaff, StillOnCall."""
    await staff.get_for_update(tx, subject)
    if await staff.shifts_to_come(tx, subject=subject):
        raise StillOnCall()
    await staff.remove(tx, subject)
    audit_trail.record(tx, None, "remove-staff-contact", _known_as(subject))


async def add_shift(tx: Transaction, subject: str, *, position: int, starts_at: datetime, ends_at: datetime) -> Shift:
    """Raises NoSuchStaff for somebody who is reached nowhere, ShiftImpossible."""
    check_shift(starts_at, ends_at, tx.now)
    try:
        await staff.get_for_update(tx, subject)
    except NoSuchStaff:
        raise NoSuchStaff(field="subject") from None
    shift = Shift(
        id=new_id(),
        subject=subject,
        position=position,
        starts_at=starts_at,
        ends_at=ends_at,
        created_by=tx.actor,
        created_at=tx.now,
    )
    await staff.add_shift(tx, shift)
    audit_trail.record(tx, None, "add-shift", shift.id, staff_id=str(_known_as(subject)), position=position)
    return shift


async def cancel_shift(tx: Transaction, shift_id: UUID) -> Shift:
    """Raises NoSuchShift, ShiftOver."""
    shift = await staff.get_shift_for_update(tx, shift_id)
    shift.cancel(tx.now)
    await staff.cancel_shift(tx, shift)
    audit_trail.record(tx, None, "cancel-shift", shift.id, staff_id=str(_known_as(shift.subject)))
    return shift


def _known_as(subject: str) -> UUID:
    """What stands in the audit trail for somebody whose name there is free text: the same for the same subject."""
    return uuid5(COMPANY_CHAIN, subject)
