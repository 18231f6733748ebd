"""Every user on a real broker with SASL, TLS and ACLs: what it needs works, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiokafka.protocol.admin import DescribeClientQuotasRequest

from deploy.doctor.examining import examine
from deploy.doctor.finding import Finding
from deploy.kafka.acls import PARTNER_BYTES_PER_SECOND
from deploy.services import SERVICES, told_by, topics_of
from services.notify.db.tables import partners
from shared.events.registry import partner_topic
from shared.kernel.ids import new_id
from shared.kit.bus.kafka_client import KafkaSettings, administering
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.bus.log import LogRefused, Partition, ReadBounds, Record
from shared.kit.bus.restoring import reader_after_restore
from shared.kit.db import Transaction
from shared.kit.tables import audit_rows
from tests.deploy.cli.test_commands import changing, mainstay, told
from tests.infrastructure.secured_kafka import ADMIN, SecuredKafka
from tests.infrastructure.waiting import eventually

BILLINGS = "billing.invoice"


async def read(settings: KafkaSettings, group: str, topics: Collection[str], *, key: str) -> set[str]:
    """Which of the topics have a record with that key, read as a member of the group, until all have."""
    log, found = KafkaLog(settings), set[str]()

    async def from_the_oldest(assigned: Collection[Partition], bounds: ReadBounds) -> Mapping[Partition, int]:
        return {partition: there.oldest for partition, there in (await bounds()).items()}

    subscription = log.subscribe(group, topics, from_the_oldest)
    try:
        while found < set(topics):
            for partition, batch in (await subscription.poll(500, 1.0)).items():
                found |= {partition.topic for record in batch.records if record.key == key}
    finally:
        await subscription.close()
        await log.close()
    return found


async def write(settings: KafkaSettings, topics: Collection[str], *, key: str) -> None:
    log = KafkaLog(settings)
    try:
        await log.append([Record(topic, key, [], b"{}") for topic in topics])
    finally:
        await log.close()


async def test_each_service_tells_hears_and_learns_again_with_what_it_is_allowed(secured_kafka: SecuredKafka) -> None:
    key = str(new_id())
    own = {service: set(told_by(service)) for service in SERVICES}
    for service in SERVICES:
        await write(secured_kafka.settings(f"mainstay-{service}"), own[service], key=key)
    for service in SERVICES:
        settings = secured_kafka.settings(f"mainstay-{service}")
        heard = set(topics_of(service))
        assert await read(settings, service, heard, key=key) == heard
        assert await read(settings, reader_after_restore(service), own[service], key=key) == own[service]


async def test_a_service_writes_no_topic_of_another_and_creates_none(secured_kafka: SecuredKafka) -> None:
    for user, topic in (
        ("mainstay-backup", BILLINGS),
        ("mainstay-notify", BILLINGS),
        ("mainstay-topics", BILLINGS),
        ("mainstay-billing", "billing.another"),
    ):
        with pytest.raises(LogRefused, match=f"does not allow {user} what it needs.*topics acls"):
            await write(secured_kafka.settings(user), [topic], key="k")


async def test_a_service_joins_no_group_of_another(secured_kafka: SecuredKafka) -> None:
    with pytest.raises(LogRefused, match="GroupAuthorizationFailed"):
        await read(secured_kafka.settings("mainstay-backup"), "billing", ["contracts.contract"], key="k")


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch, secured_kafka: SecuredKafka) -> Callable[..., None]:
    def enter(user: str, **changes: str) -> None:
        for name, value in (secured_kafka.environment(user) | changes).items():
            monkeypatch.setenv(name, value)

    return enter


def test_a_partner_reads_its_own_topic_and_no_other_until_its_access_ends(
    secured_kafka: SecuredKafka, as_user: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    told("migrate", "notify")
    partner_id, other_id = changing("notify", add_partner), new_id()
    asyncio.run(tell_partners(secured_kafka.settings("mainstay-notify"), partner_id, other_id))
    as_user(ADMIN)
    given = told("partners", "kafka-access", str(partner_id))
    assert asyncio.run(quotas(secured_kafka.settings(ADMIN))) == {given["user"]: PARTNER_BYTES_PER_SECOND}
    settings = replace(
        secured_kafka.settings(given["user"], given["password"]), group_prefix=f"{given['group_prefix']}."
    )
    asyncio.run(expect_only(settings, partner_topic(partner_id), beside=[partner_topic(other_id), BILLINGS]))
    for _ in range(2):
        told("partners", "end-kafka-access", str(partner_id))
    assert asyncio.run(quotas(secured_kafka.settings(ADMIN))) == {}
    asyncio.run(eventually(lambda: refuses(settings), what="the user to be unknown"))
    assert mainstay("partners", "kafka-access", str(other_id)).returncode == 1, "nobody knows this partner"
    rows = changing("notify", lambda tx: tx.rows(audit_rows.select().order_by(audit_rows.c.id)))
    assert [row.event["verb"] for row in rows] == ["give-kafka-access", "end-kafka-access", "end-kafka-access"]


async def add_partner(tx: Transaction) -> UUID:
    partner_id = new_id()
    await tx.insert(partners, {"id": partner_id, "name": "Quayside", "created_at": tx.now})
    return partner_id


async def tell_partners(settings: KafkaSettings, *partner_ids: UUID) -> None:
    """As notify does, which makes their topics as well."""
    log, topics = KafkaLog(settings), [partner_topic(partner_id) for partner_id in partner_ids]
    await log.ensure_topics(topics, partitions=1)
    await log.append([Record(topic, "k", [], b"{}") for topic in topics])
    await log.close()


async def expect_only(settings: KafkaSettings, topic: str, *, beside: list[str]) -> None:
    """The topic can be read, not written, and those beside it neither."""
    await eventually(lambda: lets_in(settings), what="the new user to be known")
    assert await read(settings, "reader", [topic], key="k") == {topic}
    for other in beside:
        with pytest.raises(LogRefused):
            await read(settings, "reader", [other], key="k")
    with pytest.raises(LogRefused):
        await write(settings, [topic], key="k")


async def quotas(settings: KafkaSettings) -> dict[str, float]:
    """User → bytes that it may read in a second."""
    ending: list[Coroutine[Any, Any, None]] = []
    async with administering(settings, "did not tell its quotas", ending.append) as admin:
        answer = (await admin._send_request(DescribeClientQuotasRequest([("user", 2, None)], False))).to_object()
    for end in ending:
        await end
    assert answer["error_code"] == 0
    return {
        each["entity"][0]["entity_name"]: value["value"]
        for each in answer["entries"]
        for value in each["values"]
        if value["name"] == "consumer_byte_rate"
    }


async def lets_in(settings: KafkaSettings) -> bool:
    try:
        await KafkaLog(settings).knock()
    except LogRefused:
        return False
    return True


async def refuses(settings: KafkaSettings) -> bool:
    return not await lets_in(settings)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"MAINSTAY_KAFKA_PASSWORD": "wrong"}, "does not let mainstay-billing in (SaslAuthenticationFailed)"),
        ({"MAINSTAY_KAFKA_SASL_MECHANISM": "PLAIN"}, "does not let mainstay-billing in (UnsupportedSaslMechanism"),
        ({"MAINSTAY_KAFKA_CA_FILE": ""}, "MAINSTAY_KAFKA_CA_FILE"),
    ],
    ids=["password", "mechanism", "authority"],
)
def test_who_is_not_let_in_is_told_why_and_ends(
    as_user: Callable[..., None], monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], says: str
) -> None:
    as_user("mainstay-billing", **changes)
    if not changes.get("MAINSTAY_KAFKA_CA_FILE", "named"):
        monkeypatch.delenv("MAINSTAY_KAFKA_CA_FILE")
    done = mainstay("topics", "list")
    assert (done.returncode, says in done.stderr) == (3, True), done.stderr


def test_a_user_without_a_password_is_a_wrong_setting(
    as_user: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user("mainstay-billing")
    monkeypatch.delenv("MAINSTAY_KAFKA_PASSWORD")
    done = mainstay("topics", "list")
    assert (done.returncode, done.stderr.strip()) == (2, "MAINSTAY_KAFKA_PASSWORD: SASL_SSL needs it")


def test_topics_are_as_declared_or_it_is_said_what_to_do(as_user: Callable[..., None]) -> None:
    as_user("mainstay-topics")
    found = told("topics", "list")
    assert found["differences"] == []
    state = {"partitions": 2, "replicas": 1, "min_insync": 1, "retention_hours": 720}
    assert {"topic": BILLINGS, "declared": state, "found": state} in found["topics"]
    as_user("mainstay-topics", MAINSTAY_KAFKA_PARTITIONS="4", MAINSTAY_KAFKA_RETENTION_DAYS="60")
    different = [one for one in told("topics", "list", code=1)["differences"] if one["topic"] == BILLINGS]
    assert [one["what"] for one in different] == [
        "has 2 partitions, 4 are declared",
        "keeps records for 720 hours, 1440 are declared",
    ]
    assert "--partitions 4" in different[0]["remedy"]
    assert told("topics", "ensure")["created"] == []
    as_user("mainstay-topics", MAINSTAY_KAFKA_RETENTION_DAYS="7")
    assert told("topics", "list")["differences"] == [], "nothing was changed, and to keep records for longer is no harm"


async def test_the_doctor_names_who_is_not_let_in_and_what_a_user_may_not_do(
    secured_kafka: SecuredKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enter(user: str, password: str | None = None) -> None:
        for name, value in secured_kafka.environment(user, password).items():
            monkeypatch.setenv(name, value)

    async def of_the_log(service: str) -> list[Finding]:
        return [one for one in await examine([service]) if one.part == "event log" and one.remedy]

    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    enter("mainstay-billing")
    assert await of_the_log("billing") == []
    found = await of_the_log("notify")
    assert {one.remedy for one in found} == {"mainstay topics acls lists what is needed, with --apply it allows it"}
    assert "user mainstay-billing may not see topic notify.notice" in {one.found for one in found}
    assert "user mainstay-billing may not read in group mainstay.notify" in {one.found for one in found}
    enter("mainstay-billing", "hunter2")
    [refused] = await of_the_log("billing")
    assert refused.found == "Kafka does not let mainstay-billing in (SaslAuthenticationFailed)"
    assert "MAINSTAY_KAFKA_PASSWORD" in refused.remedy
    enter("mainstay-billing")
    monkeypatch.delenv("MAINSTAY_KAFKA_CA_FILE")
    [untrusted] = await of_the_log("billing")
    assert "certificate is not trusted" in untrusted.found


async def test_the_doctor_sees_when_the_certificate_ends_that_the_broker_presents(
    secured_kafka: SecuredKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    for name, value in secured_kafka.environment("mainstay-billing").items():
        monkeypatch.setenv(name, value)
    [ending] = [one for one in await examine(["billing"]) if one.found.startswith("the broker at")]
    assert ending.found.startswith(f"the broker at {secured_kafka.bootstrap} presents a certificate that expires on ")
    assert ending.remedy == "renew it in the brokers' keystores, one broker after the other"
