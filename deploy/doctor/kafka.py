"""Kafka: whether its brokers let us in, and whether topics and permissions are as the code needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from deploy.doctor.finding import Finding, Patient, error, ok, warning
from deploy.environment import WrongSettings
from deploy.kafka.acls import Acl, service_user
from deploy.kafka.permissions import TopicSeen, seen
from deploy.opening import kafka_settings
from deploy.topics import compare
from shared.kit.bus.kafka_client import KafkaSettings, administering
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.bus.kafka_subscription import bounds_of, delivered
from shared.kit.bus.log import Bounds, Delivered, LogAway, LogRefused, Partition

PART = "event log"
START_SECONDS = 1.5
OFFSETS_SECONDS = 2.5
POLL_MS = 200
STOP_SECONDS = 0.5
T = TypeVar("T")

ALLOW = "mainstay topics acls lists what is needed, with --apply it allows it"


async def look(patient: Patient) -> list[Finding]:
    try:
        settings = replace(kafka_settings(patient.common), start_seconds=START_SECONDS, stop_seconds=STOP_SECONDS)
    except WrongSettings as wrong:
        return [error(PART, line, f"correct {line.split(':')[0]}") for line in wrong.lines]
    ending: list[asyncio.Task[None]] = []

    def bury(end: Coroutine[Any, Any, None]) -> None:
        ending.append(asyncio.ensure_future(end))

    try:
        async with administering(settings, "is away", bury) as admin:
            findings = await _permissions(patient, settings, admin)
        if not findings:
            findings = await _topics(patient, settings)
    except LogRefused as refused:
        found, _, remedy = refused.detail.partition(": ")
        return [error(PART, found, remedy)]
    except LogAway as away:
        found = f"no broker at {settings.bootstrap} answers as Kafka ({away.detail.rpartition(': ')[2].rstrip('.')})"
        remedy = "look whether the brokers run and can be reached, or correct MAINSTAY_KAFKA_BOOTSTRAP"
        return [error(PART, found, f"{remedy} and MAINSTAY_KAFKA_SECURITY_PROTOCOL")]
    finally:
        if ending:
            await asyncio.wait(ending, timeout=STOP_SECONDS)
    return findings or [ok(PART, f"Kafka at {settings.bootstrap}, as {settings.username or 'anybody'}")]


async def bounds(patient: Patient, partitions: Collection[Partition]) -> Mapping[Partition, Bounds]:
    """None when Kafka does not answer, which is said by `look`."""

    async def ask(client: AIOKafkaConsumer) -> Mapping[Partition, Bounds]:
        return await bounds_of(client, partitions)

    return await _read(patient, ask) or {}


async def newest(patient: Patient, topics: Collection[str], *, of_each: int) -> Sequence[Delivered]:
    """None when Kafka does not answer."""

    async def ask(client: AIOKafkaConsumer) -> Sequence[Delivered]:
        seen = await client._client.fetch_all_metadata()
        partitions = [Partition(topic, each) for topic in topics for each in seen.partitions_for_topic(topic) or ()]
        bounds = await bounds_of(client, partitions)
        waiting = {TopicPartition(*each): bound.end for each, bound in bounds.items() if bound.end > bound.oldest}
        client.assign(list(waiting))
        for theirs, end in waiting.items():
            client.seek(theirs, max(end - of_each, bounds[Partition(*theirs)].oldest))
        found: list[Delivered] = []
        while waiting:
            for records in (await client.getmany(timeout_ms=POLL_MS)).values():
                found += [delivered(record) for record in records]
            waiting = {theirs: end for theirs, end in waiting.items() if await client.position(theirs) < end}
        return found

    return await _read(patient, ask) or []


def encrypted_brokers(patient: Patient) -> list[tuple[str, int]]:
    """Host and port of each that the settings name, where connections to them are encrypted."""
    if patient.common.kafka_security_protocol not in {"SSL", "SASL_SSL"}:
        return []
    return sorted((host, port) for host, port, _ in collect_hosts(patient.common.kafka_bootstrap))


async def _read(patient: Patient, ask: Callable[[AIOKafkaConsumer], Awaitable[T]]) -> T | None:
    """As a reader in no group, which moves and keeps nothing."""
    try:
        client = AIOKafkaConsumer(**kafka_settings(patient.common).connection(), enable_auto_commit=False)
    except WrongSettings:
        return None
    try:
        async with asyncio.timeout(OFFSETS_SECONDS):
            await client.start()
            return await ask(client)
    except (TimeoutError, KafkaError, OSError):
        return None
    finally:
        with suppress(Exception):
            await asyncio.wait_for(client.stop(), STOP_SECONDS)


async def _permissions(patient: Patient, settings: KafkaSettings, admin: AIOKafkaAdminClient) -> list[Finding]:
    """Of what the services that are looked at read and write, each as this user."""
    acls = [acl for name in patient.services for acl in service_user(name).acls if acl.pattern == "literal"]
    wanted = _operations([acl for acl in acls if acl.resource == "topic"])
    topics = await seen(admin, wanted)
    missing = sorted(name for name, topic in topics.items() if not topic.is_there)
    findings = []
    if missing:
        found = f"{len(missing)} topic(s) are missing, such as {missing[0]}"
        findings.append(error(PART, found, "mainstay topics ensure"))
    who = settings.username or "anybody"
    for name, topic in sorted(topics.items()):
        findings += _judged(name, topic, wanted[name], who)
    for acl in acls:
        if acl.resource == "group":
            findings += await _group(admin, acl.name, who)
    return findings


def _operations(acls: Collection[Acl]) -> dict[str, frozenset[str]]:
    needed: dict[str, frozenset[str]] = {}
    for acl in acls:
        needed[acl.name] = needed.get(acl.name, frozenset()) | set(acl.operations)
    return needed


def _judged(name: str, topic: TopicSeen, needed: frozenset[str], who: str) -> Iterator[Finding]:
    if not topic.is_visible:
        yield error(PART, f"user {who} may not see topic {name}", ALLOW)
    elif topic.is_there and (lacking := needed - topic.may):
        yield error(PART, f"user {who} may not {', '.join(sorted(lacking))} on topic {name}", ALLOW)
    if topic.without_leader:
        found = f"{topic.without_leader} partition(s) of {name} have no leader"
        yield error(PART, found, "bring the brokers that are away back")
    elif topic.without_a_replica:
        found = f"{topic.without_a_replica} partition(s) of {name} lack a replica"
        yield warning(PART, found, "bring the brokers that are away back, and look whether they keep up")


async def _group(admin: AIOKafkaAdminClient, group: str, who: str) -> list[Finding]:
    try:
        await admin.find_coordinator(group)
    except GroupAuthorizationFailedError:
        return [error(PART, f"user {who} may not read in group {group}", ALLOW)]
    except KafkaError:
        return []  # A cluster that nobody ever read from has no coordinators yet.
    return []


async def _topics(patient: Patient, settings: KafkaSettings) -> list[Finding]:
    """How topics differ from what the settings declare."""
    log = KafkaLog(settings)
    try:
        found = [topic for topic in await compare(log, patient.common) if topic.found is not None]
    finally:
        await log.close()
    differences = [difference for topic in found for difference in topic.differences]
    return [warning(PART, f"topic {one.topic} {one.what}", one.remedy) for one in differences]
