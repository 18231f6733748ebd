"""Every runner ends soon after it is told to, whatever is down."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from shared.kit.bus.consumer import Consumer
from shared.kit.bus.kafka_client import KafkaSettings
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.bus.log import LogAway
from shared.kit.bus.relay import Relay
from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.process import free_port
from tests.infrastructure.waiting import eventually
from tests.kit.bus.harness import Bus, KafkaBus, Language, Listener, SqliteBus, announce, until_heard


async def test_runners_end_soon_after_they_are_told_to(bus: Bus, language: Language) -> None:
    database, log, thing = bus.service(), bus.log(), uuid4()
    stop = asyncio.Event()
    runners: list[Relay | Consumer] = [
        Relay(database, log, name="service"),
        Consumer("service", database, log, Listener(language).handlers),
    ]
    tasks = [asyncio.create_task(runner.run(stop)) for runner in runners]
    await announce(database, [language.fact(thing, 1)])
    await until_heard(database, {thing: [1]})
    began = asyncio.get_running_loop().time()
    stop.set()
    await asyncio.gather(*tasks)
    assert asyncio.get_running_loop().time() - began < 5


@pytest.fixture
def no_broker() -> KafkaSettings:
    return KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}", start_seconds=1, send_seconds=1, stop_seconds=1)


async def test_with_the_broker_down_they_end_as_well(
    tmp_path: Path, language: Language, no_broker: KafkaSettings
) -> None:
    bus = SqliteBus(tmp_path)
    database, log = bus.service(), KafkaLog(no_broker)
    with pytest.raises(LogAway):
        await log.append([language.record(uuid4(), 1)])
    await announce(database, [language.fact(uuid4(), 1)])
    stop = asyncio.Event()
    relay = Relay(database, log, name="service")
    tasks = [
        asyncio.create_task(relay.run(stop)),
        asyncio.create_task(Consumer("service", database, log, Listener(language).handlers).run(stop)),
    ]
    await eventually(lambda: _has_failed(relay), what="a failed append")
    began = asyncio.get_running_loop().time()
    stop.set()
    await asyncio.gather(*tasks)
    await log.close()
    await bus.close()
    assert asyncio.get_running_loop().time() - began < 10


@pytest.mark.parametrize("bus", ["kafka"], indirect=True)
async def test_events_outlive_a_broker_that_stops_answering(
    bus: KafkaBus, language: Language, kafka_server: KafkaServer
) -> None:
    database, thing = bus.service(), uuid4()
    log = KafkaLog(KafkaSettings(**{**vars(bus.settings), "send_seconds": 1.0, "start_seconds": 1.0}))
    stop = asyncio.Event()
    consumer = Consumer("service", database, log, Listener(language).handlers)
    relay = Relay(database, log, name="service")
    tasks = [asyncio.create_task(runner.run(stop)) for runner in (relay, consumer)]
    await announce(database, [language.fact(thing, 1)])
    await until_heard(database, {thing: [1]})
    kafka_server.freeze()
    try:
        await announce(database, [language.fact(thing, 2), language.fact(thing, 3)])
        await eventually(lambda: _has_failed(relay), what="a failed append")
    finally:
        kafka_server.thaw()
    await until_heard(database, {thing: [1, 2, 3]})
    stop.set()
    await asyncio.gather(*tasks)
    await log.close()


async def _has_failed(relay: Relay) -> bool:
    return bool(relay._failures)
