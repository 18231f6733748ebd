"""Where `now` comes from; business code is handed an instant and never asks."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

DRIFT = 0.0005
"""Seconds per second that a crystal may be off: twice what NTP would still correct."""


def elapsed() -> float:
    """Seconds that only ever go on, through corrections of the time of day and suspended machines."""
    return time.clock_gettime(_STEADY)


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock until it is set by a better one; then that one's time, carried on by elapsed time.

    What the machine takes for the time of day, and when it changes its mind, no longer matters then.
    """

    def __init__(self) -> None:
        self._instant: datetime | None = None
        self._at = 0.0
        self._within = 0.0
        self._fresh_since = -math.inf

    def now(self) -> datetime:
        if self._instant is None:
            return datetime.now(UTC)
        return self._instant + timedelta(seconds=elapsed() - self._at)

    def set(self, instant: datetime, at: float, *, within: float) -> None:
        """It was `instant` (aware, UTC) at `elapsed()` == `at`, known `within` so many seconds; kept if no worse."""
        if self._instant is None or within <= self._within + (at - self._at) * DRIFT:
            self._instant, self._at, self._within = instant, at, within

    def hold(self) -> None:
        """Whoever sets the clock says so, for others to go on with the present setting."""
        self._fresh_since = elapsed()

    def is_set_within(self, seconds: float) -> bool:
        """Whether it was set at all, and somebody looked after it in the last `seconds`."""
        return self._instant is not None and elapsed() - self._fresh_since < seconds


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


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
