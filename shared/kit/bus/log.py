"""The port between the bus and whatever carries events: append, subscribe, and nothing else."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from shared.kernel.errors import Unavailable

Headers = Sequence[tuple[str, bytes]]

READY_SECONDS = 2.0


class LogAway(Unavailable):
    """The event log does not answer at the moment."""


class LogRefused(LogAway):
    """The event log does not let this process in, or not do what it asks; a person has to change something."""


class Partition(NamedTuple):
    topic: str
    number: int


class Bounds(NamedTuple):
    """Offsets that the log still holds: from `oldest` up to, and not including, `end`."""

    oldest: int
    end: int


class TopicState(NamedTuple):
    """A topic as it is; None where a log has no such notion, or does not tell this user."""

    partitions: int | None = None
    replicas: int | None = None
    """Of the partition that has the fewest."""
    min_insync: int | None = None
    retention: timedelta | None = None
    """timedelta.max: for ever."""


@dataclass(frozen=True, slots=True)
class Record:
    """One event as a log stores it; records of one topic and key keep their order."""

    topic: str
    key: str
    headers: Headers
    value: bytes


@dataclass(frozen=True, slots=True)
class Delivered(Record):
    """A record as a consumer gets it; `timestamp` is when the log took it, UTC."""

    partition: int
    offset: int
    timestamp: datetime


class Batch(NamedTuple):
    """Consecutive records of one partition: read from `start`, to go on at `next`. A log may leave offsets out."""

    start: int
    records: list[Delivered]
    next: int


class Lag(NamedTuple):
    """Records that wait in a partition, and for how long the oldest of them has (seconds; 0 when none)."""

    records: int
    seconds: float


ReadBounds = Callable[[], Awaitable[Mapping[Partition, Bounds]]]
LoadOffsets = Callable[[Collection[Partition], ReadBounds], Awaitable[Mapping[Partition, int]]]
"""Given newly assigned partitions and a way to ask for their bounds, says where to begin; one left out is not read."""


class Subscription(Protocol):
    """One replica's share of the partitions of some topics; belongs to one task."""

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, Batch]:
        """Up to `max_records` new records, waiting at most `timeout` seconds; raises LogAway.

        Loads offsets for what was newly assigned first, and passes on what the loader raises.
        """
        ...

    def rewind(self, partitions: Collection[Partition]) -> None:
        """Forget where these partitions were read to: the next poll asks the loader again."""
        ...

    async def lag(self, applied: Mapping[Partition, int]) -> dict[Partition, Lag]:
        """Of this replica's partitions; `applied`: the offset from which on records are not applied yet."""
        ...

    async def close(self) -> None:
        """Hand the partitions over at once; bounded in time."""
        ...


class EventLog(Protocol):
    async def append(self, records: Sequence[Record]) -> None:
        """Store all records, keeping order per topic and key; raises LogAway.

        After a failure some may be stored: append the same records again, in the same order.
        """
        ...

    def subscribe(self, consumer: str, topics: Collection[str], load_offsets: LoadOffsets) -> Subscription:
        """Read `topics` as one of the replicas of `consumer`, which share the partitions."""
        ...

    async def ensure_topics(self, topics: Collection[str], partitions: int | None = None) -> None:
        """Create the topics that are missing."""
        ...

    async def topics(self) -> Mapping[str, TopicState]:
        """Every topic that this process may see; raises LogAway."""
        ...

    async def bounds(self, topics: Collection[str]) -> Mapping[Partition, Bounds]:
        """What the log still holds of every partition of the topics; raises LogAway."""
        ...

    async def state(self) -> str:
        """`ok`, or the code of what is wrong, within READY_SECONDS."""
        ...

    async def close(self) -> None: ...


def stable_hash(*parts: str) -> int:
    """The same number in every process and version."""
    return zlib.crc32("\0".join(parts).encode())


def headers_to_json(headers: Headers) -> list[list[str]]:
    """Latin-1 keeps every byte, also of headers that are not text."""
    return [[name, value.decode("latin-1")] for name, value in headers]


def headers_from_json(stored: Sequence[Sequence[Any]]) -> list[tuple[str, bytes]]:
    return [(name, value.encode("latin-1")) for name, value in stored]


def storable(text: str) -> str:
    """PostgreSQL takes no NUL and no lone surrogate, and neither sender nor error message can be trusted with that."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
