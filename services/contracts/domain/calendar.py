"""What stands in a technician's calendar, and the secret by which a calendar program reads it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.booking import Booking
from shared.kernel.errors import Conflict, Forbidden, Invalid, NotFound

SHOWN_AFTER_THE_END = timedelta(days=30)


class NoSuchCalendar(NotFound):
    """There is no such calendar, or its secret has been revoked."""


class AnothersCalendar(Forbidden):
    """Technicians read their own calendar."""

    clause: ClassVar[str | None] = "1.2"


class TechnicianUnnamed(Invalid):
    """Name the technician whose calendar it is."""


class SecretTaken(Conflict):
    """Make another secret; this one is in use."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One booking with what its technician has to know; `note` is the customer's own text."""

    booking: Booking
    contract_id: UUID
    operation_code: str
    server: str
    note: str | None


def hash_of(secret: str) -> str:
    """All that is kept of a secret: its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()
