"""A broker that is away, and topics that are not as the settings declare them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy import environment
from deploy.doctor import kafka
from deploy.doctor.finding import Severity
from deploy.opening import ensure_topics, opened_log
from deploy.services import SERVICES
from shared.kernel.ids import new_id
from shared.kit.bus.log import Record
from shared.kit.bus.tables import consumer_offsets, stream_epoch
from tests.deploy.conftest import Given
from tests.deploy.doctor.conftest import ill, the_one
from tests.deploy.doctor.test_on_sqlite import changed
from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.process import free_port
from tests.infrastructure.waiting import eventually

TOPIC = "billing.invoice"
EPOCH = 4_000_000_000


@pytest.fixture
async def on_kafka(on_sqlite: Path, given: Given, kafka_server: KafkaServer) -> AsyncIterator[AIOKafkaAdminClient]:
    """A healthy installation whose events go over Kafka; the client that breaks it."""
    given(event_log="kafka", kafka_bootstrap=kafka_server.bootstrap, kafka_partitions="4")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_server.bootstrap)
    await admin.start()
    async with opened_log(environment.read_common()) as log:
        await ensure_topics(log)
    for service in SERVICES:
        # What other tests told before is nothing that these databases should know.
        await changed(service, stream_epoch, id=1, epoch=EPOCH)
    yield admin
    await admin.close()


async def deleted(admin: AIOKafkaAdminClient, topic: str) -> None:
    async def gone() -> bool:
        return topic not in await admin.list_topics()

    await admin.delete_topics([topic])
    await eventually(gone, what=f"the end of {topic}")


async def test_all_is_well_on_kafka_and_a_topic_that_is_missing_or_made_otherwise_is_named(
    on_kafka: AIOKafkaAdminClient, given: Given
) -> None:
    assert await ill() == []
    await deleted(on_kafka, TOPIC)
    said = await the_one()
    assert (said.severity, said.found, said.remedy) == (
        Severity.ERROR,
        f"1 topic(s) are missing, such as {TOPIC}",
        "mainstay topics ensure",
    )
    given(kafka_partitions="3")
    async with opened_log(environment.read_common()) as log:
        await ensure_topics(log)
    given(kafka_partitions="4")
    said = await the_one()
    assert said.severity is Severity.WARNING
    assert said.found == f"topic {TOPIC} has 3 partitions, 4 are declared"
    assert "--partitions 4" in said.remedy
    await deleted(on_kafka, TOPIC)


async def test_records_that_kafka_dropped_before_they_were_read_are_named(on_kafka: AIOKafkaAdminClient) -> None:
    await changed(
        "billing", consumer_offsets,
        consumer="billing", topic="contracts.contract", partition=0, next_offset=-5, start_offset=0,
    )  # fmt: skip
    said = await the_one("billing")
    assert (said.part, said.severity) == ("reading of billing", Severity.ERROR)
    assert "record(s) before they were read" in said.found


async def test_a_database_that_was_put_back_is_named_on_kafka_too(on_kafka: AIOKafkaAdminClient) -> None:
    headers = [("ce_aggepoch", str(EPOCH).encode()), ("ce_aggseq", b"1")]
    async with opened_log(environment.read_common()) as log:
        await log.append([Record("contracts.contract", str(new_id()), headers, b"{}") for _ in range(3)])
    said = await the_one("contracts")
    assert (said.part, said.severity) == ("memory of contracts", Severity.ERROR)
    assert said.found.startswith("its database does not know 3 of the facts")


async def test_a_broker_that_is_away_is_named_within_the_time_of_a_check(on_sqlite: Path, given: Given) -> None:
    port = free_port()
    given(event_log="kafka", kafka_bootstrap=f"127.0.0.1:{port}")
    said = await the_one()
    assert (said.part, said.severity) == ("event log", Severity.ERROR)
    assert said.found.startswith(f"no broker at 127.0.0.1:{port} answers as Kafka")
    assert "MAINSTAY_KAFKA_BOOTSTRAP" in said.remedy


async def test_a_server_that_takes_connections_and_says_nothing_is_named_too(
    on_sqlite: Path, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("START_SECONDS", "OFFSETS_SECONDS"):
        monkeypatch.setattr(kafka, patience, 1.0)
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        given(event_log="kafka", kafka_bootstrap=f"127.0.0.1:{port}")
        given(contracts_database_url=f"postgresql://a:b@127.0.0.1:{port}/c", oidc_issuer=f"http://127.0.0.1:{port}")
        given(notify_smtp_host="127.0.0.1", notify_smtp_port=str(port))
        said = {one.part: one for one in await ill("contracts", "notify")}
    assert set(said) == {"database of contracts", "event log", "identity provider", "mail server"}
    assert said["database of contracts"].found == f"127.0.0.1:{port} does not answer within 3 s"
    assert all(one.severity is Severity.ERROR for one in said.values())
