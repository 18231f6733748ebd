"""The secret by which a calendar program, which can send no token, reads a technician's calendar."""

from __future__ import annotations

from services.contracts.db import bookings
from shared.kit import audit_trail
from shared.kit.audit_trail import COMPANY_CHAIN
from shared.kit.db import Transaction


async def open_calendar(tx: Transaction, *, secret_sha256: str) -> None:
    """The technician who calls made a secret; one from before opens nothing any more. Raises SecretTaken."""
    await bookings.keep_secret(tx, tx.actor, secret_sha256)
    audit_trail.record(tx, None, "open-calendar", COMPANY_CHAIN, technician=tx.actor)


async def close_calendar(tx: Transaction, technician: str) -> None:
    """From now on no secret opens the calendar; raises NoSuchCalendar."""
    await bookings.forget_secret(tx, technician)
    audit_trail.record(tx, None, "close-calendar", COMPANY_CHAIN, technician=technician)
