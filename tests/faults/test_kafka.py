"""Kafka is killed, frozen, leaderless or throws its reader out: commands go on, events follow once and in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.protocol.group import LeaveGroupRequest
from structlog.testing import capture_logs

from shared.kit.bus import metrics, positions
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.kafka_log import partition_of
from shared.kit.bus.log import Batch, Partition
from shared.kit.bus.tables import parked_events
from shared.kit.db import Transaction
from tests.faults import history
from tests.faults.stopping import STOPS_WITHIN_SECONDS, stopping
from tests.faults.workload import History, Workload
from tests.infrastructure import requirements
from tests.infrastructure.kafka_server import KafkaPair, running_kafka_pair
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.waiting import eventually
from tests.kit.bus.harness import (
    PARTITIONS,
    PATIENT,
    Happened,
    KafkaBus,
    Listener,
    PostgresDatabases,
    count,
    heard,
    heard_by,
    running,
    spoken_language,
    until_heard,
)
from tests.system import installation
from tests.system.installation import Installation

Trouble = tuple[Callable[[KafkaPair], None], Callable[[KafkaPair], None]]
TROUBLES: dict[str, Trouble] = {
    "leaderless": (lambda kafka: kafka.second.kill(), lambda kafka: kafka.second.start()),
    "frozen": (KafkaPair.freeze, KafkaPair.thaw),
    "killed": (KafkaPair.kill, KafkaPair.start),
    "leaderless, then killed": (lambda kafka: kafka.second.kill(), lambda kafka: kafka.restart()),
}
"""How it begins and how it ends. The second broker alone leads half of the partitions."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaPair]:
    with requirements.or_do_without("kafka"), running_kafka_pair() as pair:
        yield pair


@pytest.fixture(scope="module")
def company(postgres_server: PostgresServer, kafka: KafkaPair) -> Iterator[Installation]:
    with installation.split(postgres_server, kafka=kafka, replicas=1, name="kafka_away") as started:
        yield started


@pytest.fixture(scope="module")
def histories() -> list[History]:
    """What all customers so far were answered: the checker looks at the whole installation."""
    return []


@pytest.mark.parametrize("trouble", ["frozen", "leaderless, then killed"])
async def test_customers_are_answered_while_kafka_is_in_trouble_and_served_when_it_is_back(
    company: Installation, kafka: KafkaPair, histories: list[History], trouble: str
) -> None:
    await sign_through(company, kafka, histories, trouble)


async def sign_through(
    company: Installation, kafka: KafkaPair, histories: list[History], trouble: str, *, for_seconds: float = 0.0
) -> None:
    """Customers sign while it is in that trouble, until the relay has met it and at least so long."""
    begin, end = TROUBLES[trouble]
    seed = len(histories) + 1
    async with Workload(company.url, seed=seed, customers=2, patience=90 + for_seconds) as workload:
        histories.append(workload.history)
        over = time.monotonic() + for_seconds
        await asyncio.to_thread(begin, kafka)
        try:
            signing = asyncio.create_task(workload.sign())
            # As far as a customer gets without one service hearing another.
            await eventually(lambda: _registered(workload), what="commands that are answered")
            await _until_events_were_refused(company)
            await eventually(lambda: _is_past(over), timeout=for_seconds + 30, what="the end of the trouble")
        finally:
            await asyncio.to_thread(end, kafka)
        await signing
    await history.check(company, *histories)


async def test_an_api_and_a_worker_stop_within_ten_seconds_while_kafka_is_frozen(
    company: Installation, kafka: KafkaPair
) -> None:
    kafka.freeze()
    try:
        seconds = await stopping(company, "api-contracts", "worker-contracts-1")
    finally:
        kafka.thaw()
    assert max(seconds.values()) < STOPS_WITHIN_SECONDS, seconds


@pytest.fixture
async def bus(postgres_server: PostgresServer, kafka: KafkaPair) -> AsyncIterator[KafkaBus]:
    databases = PostgresDatabases(postgres_server)
    made = KafkaBus(databases, kafka.bootstrap)
    await made.prepare()
    yield made
    await made.close()
    databases.drop()


@pytest.mark.parametrize("where", ["before it applies", "while it applies"])
async def test_a_reader_thrown_out_in_the_middle_of_a_batch_applies_nothing_twice(
    bus: KafkaBus, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    language, things = spoken_language(monkeypatch), [uuid4() for _ in range(30)]
    database, log = bus.service(), bus.log()
    slow = _Slow(where)
    first = Slowed("service", database, log, Listener(language, before=slow.in_handler).handlers, plan=PATIENT)
    first.slow = slow
    second = Consumer("service", bus.service(), bus.log(), Listener(language).handlers, plan=PATIENT)
    await log.append([language.record(thing, seq) for seq in (1, 2, 3) for thing in things])
    async with running(first):
        await slow.reached.wait()
        await _throw_out(first)
        async with running(second):
            await eventually(lambda: _has_partitions(second), what="a successor")
            if where == "before it applies":
                # The first joins again in the background, so the second has a share of the partitions.
                await eventually(lambda: count(database, heard), what="what the successor applies")
            slow.go_on.set()
            await log.append([language.record(thing, 4) for thing in things])
            await until_heard(database, {thing: [1, 2, 3, 4] for thing in things})


async def test_records_that_retention_took_from_a_reader_that_was_away_are_told_of_and_not_skipped(
    bus: KafkaBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    language, thing = spoken_language(monkeypatch), uuid4()
    database, log = bus.service(), bus.log()

    def a_reader() -> Consumer:
        return Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)

    await log.append([language.record(thing, 1)])
    async with running(a_reader()):
        await until_heard(database, {thing: [1]})
    await log.append([language.record(thing, seq) for seq in (2, 3)])
    await bus.lose_oldest(log, language.topic)
    await log.append([language.record(thing, 4)])
    lost = Partition(language.topic, partition_of(str(thing), PARTITIONS))
    with capture_logs() as said:
        async with running(a_reader()):
            await eventually(lambda: _passed_by_retention(lost, 1.0), what="the alarm")
            assert await heard_by(database) == {str(thing): [1]}
            bounds = (await log.bounds([language.topic]))[lost]
            assert bounds == (3, 4)
            async with database.transaction() as tx:
                await positions.restart_from(tx, "service", lost, bounds.oldest)
            await eventually(lambda: _passed_by_retention(lost, 0.0), what="the end of the alarm")
            await eventually(lambda: count(database, parked_events), what="the gap")
    told = next(line for line in said if "dropped records" in line["event"])
    assert (told["partition"], told["next_offset"], told["oldest"]) == (lost.number, 1, 3)
    assert await heard_by(database) == {str(thing): [1]}


async def _passed_by_retention(partition: Partition, value: float) -> bool:
    gauge = metrics.RETENTION_PASSED.labels("service", partition.topic, partition.number)
    return bool(gauge._value.get() == value)


class _Slow:
    """Where the first batch stands still until it may go on."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def in_handler(self, _tx: Transaction, _fact: Happened) -> None:
        await self.at("while it applies")

    async def at(self, where: str) -> None:
        if where == self._where:
            self.reached.set()
            await self.go_on.wait()


class Slowed(Consumer):
    slow: _Slow

    async def _apply(self, batches: Mapping[Partition, Batch]) -> None:
        await self.slow.at("before it applies")
        await super()._apply(batches)


async def _throw_out(consumer: Consumer) -> None:
    """As an administrator would: the group forgets the member, who is told at its next heartbeat."""
    subscription: Any = consumer._subscription
    coordinator = subscription._client._coordinator
    await coordinator._send_req(LeaveGroupRequest(coordinator.group_id, coordinator.member_id))


async def _has_partitions(consumer: Consumer) -> bool:
    subscription: Any = consumer._subscription
    return bool(subscription and subscription._client and subscription._client.assignment())


async def _is_past(instant: float) -> bool:
    return time.monotonic() >= instant


async def _registered(workload: Workload) -> bool:
    return len(workload.history.accepted("register-server")) == len(workload.customers)


async def _until_events_were_refused(company: Installation) -> None:
    """Until the relay of contracts, whose customers registered, has met the trouble."""
    log = company.processes["worker-contracts-1"].folder / "server.log"
    already = log.read_text().count("events not published")

    async def once_more() -> bool:
        return log.read_text().count("events not published") > already

    await eventually(once_more, what="an append that failed")
