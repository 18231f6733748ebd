"""Where staff is reached, and who is on call when (1.3). Personal data stays in this service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notify.domain.contact import Language, address_of
from shared.kernel.errors import Conflict, Invalid, NotFound

LONGEST_SHIFT = timedelta(days=31)
MOST_POSITIONS = 9


class NoSuchStaff(NotFound):
    """Nobody has said where this person is reached."""


class NoSuchShift(NotFound):
    """There is no such shift."""


class ShiftImpossible(Invalid):
    """A shift ends after it begins and after now, and lasts at most 31 days."""


class ShiftOver(Conflict):
    """The shift is over already, or was cancelled."""


class StillOnCall(Conflict):
    """This person has shifts to come: cancel them, or give them to others."""


@dataclass(eq=False, kw_only=True)
class StaffContact:
    """`subject` is who it is to the identity provider; an `administrator` is paged when nobody else can be."""

    subject: str
    email: str
    language: Language
    administrator: bool
    version: int = 1

    def change(self, *, email: str, language: Language, administrator: bool) -> None:
        """Raises NotAnAddress."""
        self.email, self.language, self.administrator = address_of(email), language, administrator


@dataclass(eq=False, kw_only=True)
class Shift:
    """From `starts_at` to before `ends_at`. `position` 1 is paged first, 2 when nobody answers, and so on."""

    id: UUID
    subject: str
    position: int
    starts_at: datetime
    ends_at: datetime
    created_by: str
    created_at: datetime
    cancelled_at: datetime | None = None

    def cancel(self, now: datetime) -> None:
        """Raises ShiftOver."""
        if self.cancelled_at is not None or self.ends_at <= now:
            raise ShiftOver()
        self.cancelled_at = now


def check_shift(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    """Raises ShiftImpossible."""
    if not (starts_at < ends_at and now < ends_at):
        raise ShiftImpossible(field="ends_at")
    if ends_at - starts_at > LONGEST_SHIFT:
        raise ShiftImpossible(field="ends_at")
