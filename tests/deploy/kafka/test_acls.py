"""Who may do what on Kafka, as the code needs it and no more."""

from __future__ import annotations

import itertools
import shlex
from uuid import UUID

from deploy.kafka.acls import PARTNER_BYTES_PER_SECOND, partner_user, topics_user, users
from deploy.services import SERVICES, topics_of
from shared.events.registry import FACTS, TOPICS
from tests.deploy.cli.test_commands import mainstay, told

PARTNER = UUID("01a20700-0000-7000-8000-000000000001")


def allowed(operation: str, *, resource: str = "topic", pattern: str = "literal") -> dict[str, set[str]]:
    """Names by user."""
    return {
        user.name: {
            acl.name
            for acl in user.acls
            if operation in acl.operations and (acl.resource, acl.pattern) == (resource, pattern)
        }
        for user in users()
    }


def test_a_topic_is_written_by_its_producer_only() -> None:
    written = allowed("Write")
    assert written.pop("mainstay-topics") == set()
    assert written == {
        f"mainstay-{service}": {fact.topic() for fact in FACTS if fact.producer == service} for service in SERVICES
    }
    assert allowed("Write", pattern="prefixed") == {user.name: set() for user in users()} | {
        "mainstay-notify": {"partner."}
    }


def test_a_service_reads_what_it_hears_and_what_it_told() -> None:
    read = allowed("Read")
    for service in SERVICES:
        own = {fact.topic() for fact in FACTS if fact.producer == service}
        assert read[f"mainstay-{service}"] == own | set(topics_of(service))


def test_only_the_topics_job_creates_declared_topics() -> None:
    assert allowed("Create") == {user.name: set() for user in users()} | {topics_user().name: set(TOPICS)}


def test_a_partner_reads_its_own_topic_and_joins_groups_of_its_own() -> None:
    assert [(acl.resource, acl.pattern, acl.name, acl.operations) for acl in partner_user(PARTNER).acls] == [
        ("group", "prefixed", f"partner.{PARTNER}", ("Describe", "Read")),
        ("topic", "literal", f"partner.{PARTNER}", ("Describe", "Read")),
    ]


def test_the_command_tells_all_of_it_as_json_and_as_commands_of_kafkas_tool() -> None:
    found = told("topics", "acls")["users"]
    assert [each["user"] for each in found] == [*(user.name for user in users()), "partner-{id}"]
    assert {each["user"]: each["bytes_per_second"] for each in found if each["bytes_per_second"]} == {
        "partner-{id}": PARTNER_BYTES_PER_SECOND
    }
    assert set(found[0]["acls"][0]) == {"resource", "name", "pattern", "operations"}
    lines = [shlex.split(line) for line in mainstay("topics", "acls", "--format", "kafka-acls").stdout.splitlines()]
    written = {
        (words[words.index("--allow-principal") + 1], name)
        for words in lines
        for flag, name in itertools.pairwise(words)
        if flag in {"--topic", "--group"}
    }
    assert written == {(f"User:{each['user']}", acl["name"]) for each in found[:-1] for acl in each["acls"]}
    of_one = told("topics", "acls", "--partner", str(PARTNER))["users"]
    assert [each["user"] for each in of_one] == [f"partner-{PARTNER}"]
    *_, bound = mainstay("topics", "acls", "--partner", str(PARTNER), "--format", "kafka-acls").stdout.splitlines()
    assert bound.startswith("kafka-configs.sh ")
    assert bound.endswith(f"--entity-name partner-{PARTNER} --add-config consumer_byte_rate=1048576")
