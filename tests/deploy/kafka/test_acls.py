"""Who may do what on Kafka, as the code needs it and no more."""

from __future__ import annotations

import itertools
import shlex
from uuid import UUID

from deploy.kafka.acls import (
    PARTNER_BYTES_PER_SECOND,
    RESTORE_SYSTEM_USER,
    TOPICS_USER,
    backup_system_user,
    partner_user,
    users,
)
from deploy.services import SERVICES, told_by, topics_of
from shared.events.registry import TOPICS
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


def test_a_topic_is_written_by_its_producer_only_until_all_is_restored() -> None:
    written, in_partners = allowed("Write"), allowed("Write", pattern="prefixed")
    assert (written.pop(RESTORE_SYSTEM_USER), in_partners.pop(RESTORE_SYSTEM_USER)) == (set(TOPICS), {"partner."})
    assert {name: topics for name, topics in written.items() if topics} == {
        f"mainstay-{service}": set(told_by(service)) for service in SERVICES
    }
    assert {name: topics for name, topics in in_partners.items() if topics} == {"mainstay-notify": {"partner."}}


def test_who_backs_up_reads_everything_in_groups_of_its_own_and_does_nothing_else() -> None:
    acls = backup_system_user().acls
    assert {acl.name for acl in acls if acl.resource == "topic"} == {*TOPICS, "partner."}
    assert [(acl.name, acl.pattern) for acl in acls if acl.resource == "group"] == [("mainstay.moving.", "prefixed")]
    assert {operation for acl in acls for operation in acl.operations} == {"Describe", "Read"}


def test_a_service_reads_what_it_hears_and_what_it_told() -> None:
    read = allowed("Read")
    for service in SERVICES:
        assert read[f"mainstay-{service}"] == set(told_by(service)) | set(topics_of(service))


def test_only_the_topics_job_and_a_restore_create_declared_topics() -> None:
    creators = {name for name, topics in allowed("Create").items() if topics}
    assert creators == {TOPICS_USER, RESTORE_SYSTEM_USER}
    assert allowed("Create")[TOPICS_USER] == set(TOPICS)


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
