"""What every test may ask for: real servers, shared by the whole run, and a header that says which there are."""

import gc
import logging
from collections.abc import Generator, Iterator

import pytest
import structlog

from shared.kit import tracebacks
from tests.infrastructure import canaries, requirements
from tests.infrastructure.kafka_server import KafkaServer, running_kafka
from tests.infrastructure.postgres import PostgresServer, running_postgres
from tests.infrastructure.restic import ResticBinary, find_restic
from tests.infrastructure.smtp import SmtpPeer, running_smtp_peer

YOUNG_BEFORE_COLLECTION = 10_000


def pytest_report_header() -> list[str]:
    return [str(finding) for finding in requirements.findings().values()]


def pytest_sessionstart() -> None:
    requirements.insist_on_required()


def pytest_collection_finish() -> None:
    """What is there by now stays: to look through it for garbage again and again takes a tenth of the whole run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_BEFORE_COLLECTION, 20, 20)


@pytest.fixture(autouse=True, scope="session")
def _plain_tracebacks() -> None:
    """structlog's own default draws every frame with its locals, which takes seconds."""
    structlog.configure(
        processors=[
            structlog.processors.ExceptionRenderer(tracebacks.format_exc_info),
            structlog.processors.KeyValueRenderer(),
            canaries.note_line,
        ]
    )
    logging.getLogger().addHandler(canaries.Listener())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test in which personal data or a secret was logged has failed, whatever it was about."""
    report = yield
    if canaries.LOGGED:
        report.outcome = "failed"
        report.longrepr = f"logged during {item.nodeid}: {', '.join(sorted(set(canaries.LOGGED)))}"
        canaries.LOGGED.clear()
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole-system stories first: with several processes at work, the long file does not come last and alone."""
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
