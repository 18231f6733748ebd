"""Where `now` comes from; business code is handed an instant and never asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock, corrected by an offset measured against the database (see kit.db)."""

    def __init__(self) -> None:
        self.correction = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.correction


class VirtualClock:
    """Runs at the pace of real time from an instant that can only be moved forward."""

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self.offset = offset

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance_to(self, instant: datetime) -> None:
        """Move to `instant` (aware); an instant in the past is refused with ValueError."""
        offset = instant - datetime.now(UTC)
        if offset < self.offset:
            raise ValueError("a clock does not go back")
        self.offset = offset


class FixedClock:
    """Stands still; for tests of single rules."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant
