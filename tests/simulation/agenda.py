"""The only source of time, the order in which things happen, and the seeded dice."""

from __future__ import annotations

import heapq
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")
Step = Callable[[], Awaitable[None]]


class SimulatedClock:
    """Stands still until the simulation moves it; a `shared.kernel.clock.Clock`."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def time_ns(self) -> int:
        return micros(self._now) * 1000

    def monotonic(self) -> float:
        return micros(self._now) / 1_000_000

    def move_to(self, instant: datetime) -> None:
        """An instant that has passed leaves the clock alone: whatever was planned for it happens late."""
        self._now = max(self._now, instant)


class Agenda:
    """What is to happen, by instant; at one instant in the order of planning."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self._entries: list[tuple[datetime, int, Step]] = []
        self._planned = 0

    def at(self, instant: datetime, step: Step) -> None:
        self._planned += 1
        heapq.heappush(self._entries, (instant, self._planned, step))

    def after(self, delay: timedelta, step: Step) -> None:
        self.at(self.clock.now() + delay, step)

    def next_before(self, instant: datetime) -> Step | None:
        """Take the next step that is planned before `instant`, and move the clock to it."""
        if not self._entries or self._entries[0][0] >= instant:
            return None
        at, _number, step = heapq.heappop(self._entries)
        self.clock.move_to(at)
        return step


class Dice:
    """One seeded stream of chance; each actor has its own, so that they do not disturb each other."""

    def __init__(self, seed: int, name: str) -> None:
        self.random = random.Random(f"{seed}/{name}")

    def falls(self, probability: float) -> bool:
        return self.random.random() < probability

    def one_of(self, weights: Mapping[T, float]) -> T:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def between(self, shortest: timedelta, longest: timedelta) -> timedelta:
        return shortest + (longest - shortest) * self.random.random()

    def moment(self, begin: datetime, end: datetime) -> datetime:
        return begin + (end - begin) * self.random.random()

    def soon(self, longest: timedelta) -> timedelta:
        """Mostly much sooner than `longest`."""
        return longest * (self.random.random() ** 4)


def instant_of(stored: int) -> datetime:
    return _EPOCH + stored * _MICROSECOND


def micros(instant: datetime) -> int:
    """As SQLite stores an `Instant`."""
    return (instant - _EPOCH) // _MICROSECOND
