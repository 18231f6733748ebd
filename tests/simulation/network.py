"""An event log in memory that keeps the order of each key, and nothing else, and is away at times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.kit.bus.log import (
    Batch,
    Bounds,
    Delivered,
    LoadOffsets,
    LogAway,
    Partition,
    Record,
    TopicState,
    stable_hash,
)
from tests.simulation.agenda import Dice, SimulatedClock

PARTITIONS = 2


@dataclass
class _Kept:
    """Records from offset `oldest` on."""

    oldest: int = 0
    records: list[Delivered] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.oldest + len(self.records)


class SimulatedLog:
    """An EventLog; `on_append` hears of every partition that grew."""

    def __init__(self, clock: SimulatedClock, dice: Dice) -> None:
        self._clock = clock
        self._dice = dice
        self._partitions: dict[Partition, _Kept] = {}
        self.on_append: Callable[[Partition], None] = lambda _partition: None
        self.step: Callable[[str], None] = lambda _where: None
        self.trouble = 0.0
        self.appended = 0

    async def append(self, records: Sequence[Record]) -> None:
        """At times only a part is stored, or all of it and the answer is lost."""
        fails = self._dice.falls(self.trouble)
        stored = self._dice.random.randint(0, len(records)) if fails else len(records)
        for record in records[:stored]:
            self._keep(record)
            self.step("in the middle of an append")
        if fails:
            raise LogAway()

    def _keep(self, record: Record) -> None:
        number = 0 if record.topic.startswith("partner.") else stable_hash(record.key) % PARTITIONS
        partition = Partition(record.topic, number)
        kept = self._partitions.setdefault(partition, _Kept())
        kept.records.append(
            Delivered(record.topic, record.key, record.headers, record.value, number, kept.end, self._clock.now())
        )
        self.appended += 1
        self.on_append(partition)

    def read(self, partition: Partition, offset: int, limit: int) -> Batch | None:
        kept = self._partitions.get(partition, _Kept())
        start = max(offset, kept.oldest)
        records = kept.records[start - kept.oldest : start - kept.oldest + limit]
        return Batch(start, records, records[-1].offset + 1) if records else None

    def bounds_of(self, partition: Partition) -> Bounds:
        kept = self._partitions.get(partition, _Kept())
        return Bounds(kept.oldest, kept.end)

    def partitions_of(self, topics: Collection[str]) -> list[Partition]:
        return sorted(partition for partition in self._partitions if partition.topic in topics)

    def forget(self, topics: Collection[str]) -> None:
        """Drop what everybody has read."""
        for partition in self.partitions_of(topics):
            kept = self._partitions[partition]
            kept.oldest, kept.records = kept.end, []

    def kept(self, partition: Partition) -> Sequence[Delivered]:
        return self._partitions[partition].records

    def take(self, topic: str) -> list[Delivered]:
        """Read and drop a topic of one partition."""
        kept = self._partitions.setdefault(Partition(topic, 0), _Kept())
        taken, kept.oldest, kept.records = kept.records, kept.end, []
        return taken

    def subscribe(self, consumer: str, topics: Collection[str], load_offsets: LoadOffsets) -> Any:
        raise NotImplementedError("the simulation hands batches over itself")

    async def ensure_topics(self, topics: Collection[str], partitions: int | None = None) -> None:
        """A topic is there once something is on it."""

    async def topics(self) -> dict[str, TopicState]:
        names = {partition.topic for partition in self._partitions}
        return {name: TopicState(len(self.partitions_of([name]))) for name in names}

    async def bounds(self, topics: Collection[str]) -> dict[Partition, Bounds]:
        return {partition: self.bounds_of(partition) for partition in self.partitions_of(topics)}

    async def state(self) -> str:
        return "ok"

    async def close(self) -> None:
        """Nothing to give back."""


def bounds_reader(bounds: Mapping[Partition, Bounds]) -> Callable[[], Awaitable[Mapping[Partition, Bounds]]]:
    async def read() -> Mapping[Partition, Bounds]:
        return bounds

    return read
