"""The topics that an installation declares, compared with those that its event log has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from deploy.opening import kafka_settings
from shared.events.registry import PARTNER_TOPIC_PREFIX, TOPICS
from shared.kit.bus.log import EventLog, TopicState
from shared.kit.settings import CommonSettings

KAFKA_TOOL = '--bootstrap-server "$KAFKA_BOOTSTRAP" --command-config "$KAFKA_CONFIG"'


@dataclass(frozen=True)
class Difference:
    """How a topic is not as declared, and what to do about it."""

    topic: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.topic} {self.what}: {self.remedy}"


@dataclass(frozen=True)
class Topic:
    """`found` is None where there is no such topic, or this user may not see it."""

    name: str
    declared: TopicState
    found: TopicState | None

    @property
    def differences(self) -> list[Difference]:
        if self.found is None:
            remedy = "`mainstay topics ensure` creates it; where Kafka keeps ACLs, look as the user mainstay-topics"
            return [Difference(self.name, "is missing", remedy)]
        return list(_differences(self.name, self.declared, self.found))


async def compare(log: EventLog, common: CommonSettings) -> list[Topic]:
    """Every declared topic, and every topic of a partner that there is; raises Unavailable, WrongSettings."""
    found = await log.topics()
    ours = dict.fromkeys(TOPICS, _declared(common))
    of_partners = (name for name in found if name.startswith(PARTNER_TOPIC_PREFIX))
    declared = ours | dict.fromkeys(of_partners, _declared(common, partitions=1))
    return [Topic(name, state, found.get(name)) for name, state in sorted(declared.items())]


def shown(state: TopicState | None) -> dict[str, Any] | None:
    """JSON-ready; `retention_hours` is -1 for ever."""
    if state is None:
        return None
    values = state._asdict()
    retention = values.pop("retention")
    return {**values, "retention_hours": None if retention is None else _hours(retention)}


def _declared(common: CommonSettings, partitions: int | None = None) -> TopicState:
    """Of an SQL log nothing but the name is declared."""
    if common.event_log == "sql":
        return TopicState()
    kafka = kafka_settings(common)
    return TopicState(partitions or kafka.partitions, kafka.replication, kafka.min_insync, kafka.retention)


def _differences(topic: str, declared: TopicState, found: TopicState) -> Iterator[Difference]:
    """What is not declared, or not shown to this user, differs in nothing; longer retention does no harm."""
    if _differ(declared.partitions, found.partitions):
        what = f"has {found.partitions} partitions, {declared.partitions} are declared"
        yield Difference(topic, what, _partitions_remedy(topic, declared, found))
    if _differ(declared.replicas, found.replicas):
        what = f"has {found.replicas} replicas, {declared.replicas} are declared"
        remedy = "move its partitions with kafka-reassign-partitions.sh, or set MAINSTAY_KAFKA_REPLICATION"
        yield Difference(topic, what, remedy)
    if _differ(declared.min_insync, found.min_insync):
        what = f"has min.insync.replicas {found.min_insync}, {declared.min_insync} is declared"
        yield Difference(topic, what, _set(topic, f"min.insync.replicas={declared.min_insync}"))
    if declared.retention and found.retention and found.retention < declared.retention:
        what = f"keeps records for {_hours(found.retention)} hours, {_hours(declared.retention)} are declared"
        yield Difference(topic, what, _set(topic, f"retention.ms={declared.retention // timedelta(milliseconds=1)}"))


def _differ(declared: int | None, found: int | None) -> bool:
    return None not in (declared, found) and declared != found


def _partitions_remedy(topic: str, declared: TopicState, found: TopicState) -> str:
    if topic.startswith(PARTNER_TOPIC_PREFIX):
        return "in several partitions its records have no order, so have the partner read its feed instead"
    if (found.partitions or 0) > (declared.partitions or 0):
        return f"a topic never loses partitions, so set MAINSTAY_KAFKA_PARTITIONS={found.partitions}"
    return (
        "keys will move, so stop what writes to it, let every consumer read it to its end, then "
        f"kafka-topics.sh {KAFKA_TOOL} --alter --topic {topic} --partitions {declared.partitions}"
    )


def _set(topic: str, entry: str) -> str:
    return f"kafka-configs.sh {KAFKA_TOOL} --alter --entity-type topics --entity-name {topic} --add-config {entry}"


def _hours(retention: timedelta) -> int:
    return -1 if retention == timedelta.max else retention // timedelta(hours=1)
