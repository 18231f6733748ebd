"""The adapters under test, each with a fresh log and fresh databases, and a published language of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.postgres import PostgresServer
from tests.kit.bus.harness import Bus, KafkaBus, Language, PostgresBus, PostgresDatabases, SqliteBus, spoken_language

ADAPTERS = ["sqlite", "postgres", "kafka"]


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: PostgresServer) -> Iterator[PostgresDatabases]:
    databases = PostgresDatabases(postgres_server)
    yield databases
    databases.drop()


@pytest.fixture(params=ADAPTERS)
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    """One event log and the service databases around it."""
    made: Bus
    if request.param == "sqlite":
        made = SqliteBus(tmp_path)
    else:
        databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
        if request.param == "postgres":
            made = PostgresBus(databases)
        else:
            kafka: KafkaServer = request.getfixturevalue("kafka_server")
            made = KafkaBus(databases, kafka.bootstrap)
    await made.prepare()
    yield made
    await made.close()


@pytest.fixture
def language(monkeypatch: pytest.MonkeyPatch) -> Language:
    """Facts on a topic that no other test uses."""
    return spoken_language(monkeypatch)
