"""How far a consumer is behind: counted from what it has applied, also while it fails to apply anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import uuid4

from shared.kit.bus.log import Lag, Partition, ReadBounds
from tests.infrastructure.waiting import eventually
from tests.kit.bus.harness import Bus, Language


async def test_what_was_read_and_not_applied_waits(bus: Bus, language: Language) -> None:
    log, thing = bus.log(), uuid4()
    records = [language.record(thing, number) for number in range(1, 6)]
    topic = records[0].topic
    await log.append(records)
    ends: dict[Partition, int] = {}

    async def from_the_oldest(assigned: Collection[Partition], read_bounds: ReadBounds) -> Mapping[Partition, int]:
        return {partition: (await read_bounds())[partition].oldest for partition in assigned}

    subscription = log.subscribe("lagging", [topic], from_the_oldest)
    try:

        async def read() -> bool:
            for partition, batch in (await subscription.poll(100, 0.2)).items():
                ends[partition] = batch.next
            return sum(ends.values()) == len(records)

        await eventually(read)
        [(partition, end)] = ends.items()
        # The batch failed, and is to be read again: it still waits.
        subscription.rewind([partition])
        behind = (await subscription.lag({partition: 0}))[partition]
        assert behind.records == len(records)
        assert 0 < behind.seconds < 60
        assert (await subscription.lag({partition: end - 2}))[partition].records == 2
        assert (await subscription.lag({partition: end}))[partition] == Lag(0, 0.0)
        assert await subscription.lag({Partition("elsewhere", 0): 0}) == {}
    finally:
        await subscription.close()
