"""Which Kafka user may do what, derived from what the code reads and writes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from deploy.moving.records import READERS
from deploy.services import SERVICES, told_by, topics_of
from shared.events.registry import PARTNER_TOPIC_PREFIX, TOPICS, partner_topic
from shared.kit.bus.kafka_client import GROUP_PREFIX
from shared.kit.bus.restoring import reader_after_restore

Resource = Literal["topic", "group"]
Pattern = Literal["literal", "prefixed"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]

TOPICS_USER = "mainstay-topics"
"""The user of the job that creates topics; services themselves may not."""
BACKUP_SYSTEM_USER = "mainstay-backup-system"
"""The user of `mainstay backup-system` and `export`: it reads everything, and writes nothing."""
RESTORE_SYSTEM_USER = "mainstay-restore-system"
"""The user of `mainstay restore-system` and `import`; nobody signs in as it while the installation runs."""
ANY_PARTNER = "{id}"
"""Stands for a partner's id in the template of all partners."""
PARTNER_BYTES_PER_SECOND = 1_048_576
"""A partner that reads its whole topic anew must not slow down the services."""


@dataclass(frozen=True, order=True)
class Acl:
    """Allows `operations` on one resource, or on all whose names begin with `name`."""

    resource: Resource
    pattern: Pattern
    name: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class User:
    """A Kafka user and all that it may do; whatever is not listed is refused by the broker."""

    name: str
    acls: Sequence[Acl]
    bytes_per_second: int | None = None
    """What each broker lets it read; None for as much as there is."""


def users() -> list[User]:
    """The services' users and those of jobs; partners come one by one."""
    return [*map(service_user, SERVICES), topics_user(), backup_system_user(), restore_system_user()]


def service_user(service: str) -> User:
    """Writes and reads its own topics (after a restore it learns from them), reads those that it hears."""
    own, heard = set(told_by(service)), set(topics_of(service))
    acls = [Acl("topic", "literal", topic, ("Describe", "Read", "Write")) for topic in own]
    acls += [Acl("topic", "literal", topic, ("Describe", "Read")) for topic in heard - own]
    if service == "notify":
        # It makes a partner's topic when the partner is registered.
        acls.append(Acl("topic", "prefixed", PARTNER_TOPIC_PREFIX, ("Create", "Describe", "Read", "Write")))
    groups = (service, reader_after_restore(service))
    acls += [Acl("group", "literal", f"{GROUP_PREFIX}{group}", ("Describe", "Read")) for group in groups]
    return User(user_of(service), sorted(acls))


def topics_user() -> User:
    """Creates and describes topics; reads and writes no record, and changes no topic that exists."""
    declared = [Acl("topic", "literal", topic, ("Create", "Describe", "DescribeConfigs")) for topic in TOPICS]
    partners = Acl("topic", "prefixed", PARTNER_TOPIC_PREFIX, ("Describe", "DescribeConfigs"))
    return User(TOPICS_USER, [*declared, partners])


def backup_system_user() -> User:
    """Reads every topic, in groups that nobody else joins."""
    groups = Acl("group", "prefixed", f"{GROUP_PREFIX}{READERS}", ("Describe", "Read"))
    return User(BACKUP_SYSTEM_USER, [*_every_topic("Describe", "Read"), groups])


def restore_system_user() -> User:
    """Makes and fills every topic; from an old log it reads what each service told, as that service would."""
    groups = [
        Acl("group", "literal", f"{GROUP_PREFIX}{reader_after_restore(service)}", ("Describe", "Read"))
        for service in SERVICES
    ]
    return User(RESTORE_SYSTEM_USER, [*_every_topic("Create", "Describe", "Read", "Write"), *groups])


def _every_topic(*operations: Operation) -> list[Acl]:
    declared = [Acl("topic", "literal", topic, operations) for topic in TOPICS]
    return [*declared, Acl("topic", "prefixed", PARTNER_TOPIC_PREFIX, operations)]


def partner_user(partner_id: object = ANY_PARTNER) -> User:
    """Reads its own topic, in groups whose names begin with the topic's name, and nothing else."""
    topic = partner_topic(partner_id)
    acls = [Acl("group", "prefixed", topic, ("Describe", "Read")), Acl("topic", "literal", topic, ("Describe", "Read"))]
    return User(f"partner-{partner_id}", acls, PARTNER_BYTES_PER_SECOND)


def user_of(service: str) -> str:
    return f"mainstay-{service}"


def shown(user: User) -> dict[str, Any]:
    """JSON-ready."""
    acls = [
        {"resource": acl.resource, "name": acl.name, "pattern": acl.pattern, "operations": list(acl.operations)}
        for acl in user.acls
    ]
    return {"user": user.name, "acls": acls, "bytes_per_second": user.bytes_per_second}


def command_lines(user: User) -> Iterator[str]:
    """Kafka's own tool, to be run by a shell that has KAFKA_BOOTSTRAP and KAFKA_CONFIG; adding again does no harm."""
    cluster = '--bootstrap-server "$KAFKA_BOOTSTRAP" --command-config "$KAFKA_CONFIG"'

    def kind(acl: Acl) -> tuple[str, str, Sequence[str]]:
        return acl.resource, acl.pattern, acl.operations

    # One start of the tool takes a second or two, so it is given all that differ by name only.
    for (resource, pattern, operations), alike in groupby(sorted(user.acls, key=kind), key=kind):
        words = ["--add", "--allow-principal", f"User:{user.name}", "--resource-pattern-type", pattern]
        words += [word for operation in operations for word in ("--operation", operation)]
        words += [word for acl in alike for word in (f"--{resource}", acl.name)]
        yield f"kafka-acls.sh {cluster} {shlex.join(words)}"
    if user.bytes_per_second is not None:
        words = ["--alter", "--entity-type", "users", "--entity-name", user.name]
        words += ["--add-config", f"consumer_byte_rate={user.bytes_per_second}"]
        yield f"kafka-configs.sh {cluster} {shlex.join(words)}"
