"""When, where and by whom work is done: the company's choice (1.2), and no technician is booked twice at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from shared.kernel.errors import Conflict, Invalid

LONGEST_WINDOW = timedelta(hours=24)
FARTHEST_AHEAD = timedelta(days=400)


class WindowImpossible(Invalid):
    """The window of the work must end after it begins, be over in the future, and be of a bounded length."""

    clause: ClassVar[str | None] = "1.2"


class TechnicianBooked(Conflict):
    """The technician is booked for other work at that time."""

    clause: ClassVar[str | None] = "1.2"


class Place(StrEnum):
    ON_SITE = "on-site"
    REMOTE = "remote"


@dataclass(frozen=True, kw_only=True)
class Preference:
    """When and where the customer would like it; kept beside the schedule, and binds nobody (1.2)."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    place: Place | None = None

    def check(self, *, agreement_version: str) -> None:
        """Raises WindowImpossible."""
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise WindowImpossible(
                "It must end after it begins.", field="preference.ends_at", agreement_version=agreement_version
            )


@dataclass(frozen=True, kw_only=True)
class Slot:
    """`technician` is the subject of that technician's tokens."""

    starts_at: datetime
    ends_at: datetime
    place: Place
    technician: str

    def check(self, now: datetime, *, agreement_version: str) -> None:
        """Raises WindowImpossible."""
        complaint, field = None, "ends_at"
        if self.ends_at <= self.starts_at:
            complaint = "The window must end after it begins."
        elif self.ends_at - self.starts_at > LONGEST_WINDOW:
            complaint = f"A window is {LONGEST_WINDOW // timedelta(hours=1)} hours long at most."
        elif self.ends_at <= now:
            complaint = "The window is over."
        elif self.starts_at > now + FARTHEST_AHEAD:
            complaint, field = f"Work is scheduled {FARTHEST_AHEAD.days} days ahead at most.", "starts_at"
        if complaint:
            raise WindowImpossible(complaint, field=field, agreement_version=agreement_version)

    def holds(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True, kw_only=True)
class Booking:
    """A technician's share of one work request in the calendar; `sequence` grows with every change of it.

    `live`: it takes the technician's time. `cancelled`: it was taken back before the work was done.
    """

    work_request_id: UUID
    technician: str
    starts_at: datetime
    ends_at: datetime
    place: Place
    sequence: int
    live: bool
    cancelled: bool
    changed_at: datetime
