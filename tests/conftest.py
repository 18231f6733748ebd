"""What every test may ask for: real servers, shared by the whole run, and a header that says which there are."""

from collections.abc import Iterator

import pytest
import structlog

from tests.infrastructure import requirements
from tests.infrastructure.kafka_server import KafkaServer, running_kafka
from tests.infrastructure.postgres import PostgresServer, running_postgres
from tests.infrastructure.restic import ResticBinary, find_restic
from tests.infrastructure.smtp import SmtpPeer, running_smtp_peer


def pytest_report_header() -> list[str]:
    return [str(finding) for finding in requirements.findings().values()]


def pytest_sessionstart() -> None:
    requirements.insist_on_required()


@pytest.fixture(autouse=True, scope="session")
def _plain_tracebacks() -> None:
    """structlog's own default draws every frame with its locals, which takes seconds."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole-system stories first: with two processes at work, the long file does not come last and alone."""
    items.sort(key=lambda item: "tests/system/" not in item.path.as_posix())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL for the whole run; make a database of your own in it."""
    with requirements.or_do_without("postgres"), running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    """A Kafka broker for the whole run; make topics of your own in it."""
    with requirements.or_do_without("kafka"), running_kafka() as server:
        yield server


@pytest.fixture(scope="session")
def restic_binary() -> ResticBinary:
    """The restic of this machine."""
    with requirements.or_do_without("restic"):
        return find_restic()


@pytest.fixture
def smtp_peer() -> Iterator[SmtpPeer]:
    """A mail server of this test's own."""
    with running_smtp_peer() as peer:
        yield peer
