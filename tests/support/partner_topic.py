"""A partner's own topic on Kafka, read as a partner does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

PATIENCE_MILLISECONDS = 20_000


@asynccontextmanager
async def reading(bootstrap: str | list[str], **access: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """From the beginning; `access` is how aiokafka signs in."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, **access
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def ids_on(topic: str, consumer: AIOKafkaConsumer, *, count: int) -> list[str]:
    """The first ids of events in the order of the topic's one partition, each once; AssertionError when fewer come."""
    consumer.assign([TopicPartition(topic, 0)])
    ids: dict[str, None] = {}
    while len(ids) < count:
        batches = await consumer.getmany(timeout_ms=PATIENCE_MILLISECONDS)
        assert batches, f"only {len(ids)} of {count} events came on {topic}"
        for records in batches.values():
            ids.update(dict.fromkeys(json.loads(record.value)["id"] for record in records))
    # The company may have told more since the feed was read that these are compared with.
    return list(ids)[:count]
