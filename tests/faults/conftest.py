"""Installations that the tests of a process share: starting one takes longer than most faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.restic import ResticBinary
from tests.system import installation
from tests.system.installation import Installation


@pytest.fixture(scope="session")
def kafka_company(
    postgres_server: PostgresServer, kafka_server: KafkaServer, restic_binary: ResticBinary
) -> Iterator[Installation]:
    """On PostgreSQL and Kafka; a test leaves it whole, and uses a seed that no other test uses on it."""
    with installation.split(postgres_server, kafka=kafka_server, replicas=1, name="faults_kafka") as company:
        yield company
        _end(company)


@pytest.fixture(scope="session")
def postgres_company(postgres_server: PostgresServer, restic_binary: ResticBinary) -> Iterator[Installation]:
    """The same on PostgreSQL alone."""
    with installation.split(postgres_server, kafka=None, replicas=1, name="faults_sql") as company:
        yield company
        _end(company)


def _end(company: Installation) -> None:
    """Going in good order takes some seconds each, and is tested elsewhere."""
    for process in company.processes.values():
        process.kill()
