"""What only Kafka needs: the partitioner every client agrees on, and keys that may be any bytes."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from aiokafka.partitioner import DefaultPartitioner

from shared.kit.bus.kafka_log import KafkaSettings, _key_text, partition_of
from shared.kit.bus.log import Partition, ReadBounds, Record
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
