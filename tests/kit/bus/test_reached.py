"""Whether the log can be reached, as a worker's readiness asks."""

from __future__ import annotations

import pytest

from shared.kit.bus.kafka_client import KafkaSettings
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.bus.log import LogAway
from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.process import free_port
from tests.infrastructure.waiting import eventually
from tests.kit.bus.harness import Bus, KafkaBus


async def test_a_log_that_answers_is_reached(bus: Bus) -> None:
    log = bus.log()
    assert await log.state() == "ok"
    assert await log.state() == "ok"


async def test_without_a_broker_the_log_is_away() -> None:
    log = KafkaLog(KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}", start_seconds=1, stop_seconds=1))
    assert await log.state() == LogAway.code()
    await log.close()


@pytest.mark.parametrize("bus", ["kafka"], indirect=True)
async def test_a_broker_that_stops_answering_is_away_until_it_answers_again(
    bus: KafkaBus, kafka_server: KafkaServer
) -> None:
    log = bus.log()
    assert await log.state() == "ok"
    kafka_server.freeze()

    async def is_away() -> bool:
        # An answer that was on its way when it froze may still come.
        return await log.state() == LogAway.code()

    try:
        await eventually(is_away)
    finally:
        kafka_server.thaw()
    assert await log.state() == "ok"
