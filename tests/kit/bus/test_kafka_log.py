"""What only Kafka needs: the partitioner every client agrees on, and keys that may be any bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.partitioner import DefaultPartitioner

from shared.kernel.errors import Unavailable
from shared.kit.bus.kafka_client import KafkaSettings
from shared.kit.bus.kafka_log import partition_of
from shared.kit.bus.kafka_subscription import KafkaSubscription, _key_text
from shared.kit.bus.log import Partition, ReadBounds, Record
from tests.infrastructure.waiting import eventually
from tests.kit.bus.harness import KafkaBus, Language


@pytest.mark.parametrize("key", ["a", "21", "0192f0c1-7a3e-7cc4-9a55-0c5f0a6d1e11", "ключ", "x" * 200])
def test_a_key_lies_where_other_clients_look_for_it(key: str) -> None:
    partitions = list(range(12))
    assert partition_of(key, 12) == DefaultPartitioner()(key.encode(), partitions, partitions)


def test_the_hash_is_that_of_the_java_client() -> None:
    # From UtilsTest.testMurmur2 of Kafka, as signed 32-bit numbers.
    for key, hashed in {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}.items():
        assert partition_of(key, 2**31) == hashed & 0x7FFFFFFF


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"\x00", b"k" * 300])
def test_a_foreign_key_still_names_a_row(key: bytes | None) -> None:
    text = _key_text(key)
    assert len(text) <= 200
    assert "\0" not in text
    assert _key_text(b"k" * 300) != _key_text(b"k" * 301)


def test_a_batch_to_many_topics_is_waited_for_longer() -> None:
    settings = KafkaSettings(bootstrap="127.0.0.1:9092")
    assert settings.patience(1) < settings.send_seconds + 0.1
    assert settings.patience(1_000) > 2 * settings.send_seconds


def test_settings_do_not_show_the_password() -> None:
    assert "geheim" not in repr(KafkaSettings(bootstrap="b", username="u", password="geheim"))


@pytest.mark.parametrize("bus", ["kafka"], indirect=True)
async def test_large_events_and_many_small_ones_keep_their_order(bus: KafkaBus, language: Language) -> None:
    log, key = bus.log(), "one-key"
    sizes = [10, 400_000, 20, 511_000, *[300] * 3000, 200_000]
    await log.append([Record(language.topic, key, [("n", b"%d" % n)], b"x" * size) for n, size in enumerate(sizes)])

    async def from_the_start(assigned: Collection[Partition], _bounds: ReadBounds) -> dict[Partition, int]:
        return dict.fromkeys(assigned, 0)

    subscription = log.subscribe("reader", [language.topic], from_the_start)
    found: list[tuple[bytes, int]] = []
    try:
        while len(found) < len(sizes):
            for batch in (await subscription.poll(500, 5.0)).values():
                found += [(record.headers[0][1], len(record.value)) for record in batch.records]
    finally:
        await subscription.close()
    assert found == [(b"%d" % n, size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize("bus", ["kafka"], indirect=True)
async def test_nothing_is_asked_of_the_group_while_offsets_are_looked_up(
    bus: KafkaBus, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka would ask for the group's own: of two brokers, when the leader changes meanwhile, and end for ever."""
    asked: list[object] = []

    async def noted(_fetcher: Fetcher, _assignment: object, _node: int, partitions: object) -> bool:
        asked.append(partitions)
        return False

    monkeypatch.setattr(Fetcher, "_update_fetch_positions", noted)
    log, looking, go_on = bus.log(), asyncio.Event(), asyncio.Event()
    await log.append([Record(language.topic, "key", [], b"value")])

    async def from_the_start(assigned: Collection[Partition], bounds: ReadBounds) -> dict[Partition, int]:
        looking.set()
        await go_on.wait()
        await bounds()
        return dict.fromkeys(assigned, 0)

    subscription = log.subscribe("reader", [language.topic], from_the_start)
    assert isinstance(subscription, KafkaSubscription)
    try:
        reading = asyncio.create_task(_first_record(subscription))
        await asyncio.wait_for(looking.wait(), 30)
        asked.clear()  # It may have begun to ask before it was told of its partitions.
        assert subscription._client is not None
        waiting = subscription._client._fetcher
        await eventually(lambda: _has_looked_round(waiting))
        assert asked == []
        go_on.set()
        assert await asyncio.wait_for(reading, 30) == b"value"
    finally:
        await subscription.close()


async def _has_looked_round(fetcher: Fetcher) -> bool:
    """The fetcher knows its partitions, and found that each of them rests."""
    assignment = fetcher._subscriptions.subscription.assignment
    return all(assignment.state_value(each).paused for each in assignment.tps) and not fetcher._fetch_task.done()


@pytest.mark.parametrize("bus", ["kafka"], indirect=True)
async def test_reading_goes_on_when_the_task_that_fetches_has_ended(bus: KafkaBus, language: Language) -> None:
    log = bus.log()

    async def from_the_start(assigned: Collection[Partition], _bounds: ReadBounds) -> dict[Partition, int]:
        return dict.fromkeys(assigned, 0)

    await log.append([Record(language.topic, "key", [], b"value")])
    subscription = log.subscribe("reader", [language.topic], from_the_start)
    assert isinstance(subscription, KafkaSubscription)
    try:
        assert await asyncio.wait_for(_first_record(subscription), 30) == b"value"
        assert subscription._client is not None
        subscription._client._fetcher._fetch_task.cancel()
        assert await asyncio.wait_for(_first_record(subscription), 30) == b"value"
    finally:
        await subscription.close()


async def _first_record(subscription: KafkaSubscription) -> bytes:
    while True:
        with suppress(Unavailable):
            for batch in (await subscription.poll(10, 1.0)).values():
                return batch.records[0].value
