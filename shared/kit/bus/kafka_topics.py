"""Topics on Kafka: made as the settings declare them, and told as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.kit.bus.kafka_client import KafkaSettings
from shared.kit.bus.log import TopicState

RETENTION, MIN_INSYNC = "retention.ms", "min.insync.replicas"


async def create(admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: Mapping[str, int]) -> dict[str, int]:
    """Create those that are missing, with so many partitions, and change none; the number that each has."""
    counts = await _partition_counts(admin, list(topics))
    missing = [topic for topic in topics if topic not in counts]
    if missing:
        configs = configs_of(settings)
        new = [NewTopic(topic, topics[topic], settings.replication, topic_configs=configs) for topic in missing]
        answer = await admin.create_topics(new)
        for _topic, code, *_ in answer.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise for_code(code)()
    # Creation is acknowledged before every broker tells of it.
    while len(counts) < len(topics):
        counts = await _partition_counts(admin, list(topics))
        if len(counts) < len(topics):
            await asyncio.sleep(0.05)
    return counts


def configs_of(settings: KafkaSettings) -> dict[str, str]:
    """What a topic is created with, besides its partitions and replicas."""
    milliseconds = settings.retention // timedelta(milliseconds=1)
    return {RETENTION: str(milliseconds), MIN_INSYNC: str(settings.min_insync)}


async def describe(admin: AIOKafkaAdminClient) -> dict[str, TopicState]:
    """All that this user may see, without Kafka's own."""
    seen = {
        topic["topic"]: topic["partitions"]
        for topic in await admin.describe_topics()
        if not topic["error_code"] and not topic["is_internal"] and topic["partitions"]
    }
    configs = await _configs(admin, list(seen))
    return {topic: _state(partitions, configs.get(topic, {})) for topic, partitions in seen.items()}


async def _partition_counts(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
    described = await admin.describe_topics(list(topics))
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if not topic["error_code"] and topic["partitions"]
    }


async def _configs(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """By topic, of those whose settings this user may see."""
    if not topics:
        return {}
    wanted = dict.fromkeys([RETENTION, MIN_INSYNC])
    [answer] = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, wanted) for topic in topics]
    )
    return {
        name: {entry[0]: entry[1] for entry in entries} for code, _, _, name, entries in answer.resources if not code
    }


def _state(partitions: Sequence[Mapping[str, Any]], configs: Mapping[str, str]) -> TopicState:
    min_insync, retention = configs.get(MIN_INSYNC), configs.get(RETENTION)
    return TopicState(
        partitions=len(partitions),
        replicas=min(len(partition["replicas"]) for partition in partitions),
        min_insync=int(min_insync) if min_insync else None,
        retention=_retention(int(retention)) if retention else None,
    )


def _retention(milliseconds: int) -> timedelta:
    """-1, or more than a timedelta holds, is for ever."""
    longest = timedelta.max // timedelta(milliseconds=1)
    return timedelta.max if not 0 <= milliseconds <= longest else timedelta(milliseconds=milliseconds)
