"""Killed at every seam and at any moment, or frozen past a lease: what was answered holds, once, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.faults.killing import kill_through_a_term
from tests.faults.seams import SEAMS
from tests.faults.standing_still import stand_still_through_a_term
from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.restic import ResticBinary
from tests.system import installation
from tests.system.installation import Installation

pytestmark = pytest.mark.timeout(600)
CUSTOMERS = 3
Seams = Mapping[str, Sequence[str]]

EMBEDDED: Seams = {
    "embedded": [
        *("before-commit", "after-commit", "after-effects", "after-acknowledgement"),
        *("timer-in-transaction", "mail-midway", "restic-midway", "before-signing"),
    ]
}
KAFKA: Seams = {
    "worker-contracts-1": ["in-relay-batch", "after-acknowledgement", "after-effects", "timer-in-transaction"],
    "worker-notify-1": ["in-consumer-batch", "before-applying", "after-applying", "mail-taken", "before-signing"],
}
POSTGRES: Seams = {
    "worker-billing-1": ["in-relay-batch", "before-commit", "after-commit", "after-effects"],
    "worker-backup-1": ["restic-midway", "restic-done", "timers-claimed"],
    "api-contracts": ["before-commit", "after-commit"],
    "api-billing": ["keys-asked", "after-commit"],
    "front": ["answer-passed-on"],
}


def test_every_seam_is_met_in_one_of_the_set_ups() -> None:
    met = {seam for seams in (EMBEDDED, KAFKA, POSTGRES) for names in seams.values() for seam in names}
    assert met == set(SEAMS)


async def test_one_process_on_sqlite_is_killed_at_seams(restic_binary: ResticBinary) -> None:
    with installation.embedded() as company:
        await kill_through_a_term(company, EMBEDDED, seed=1, customers=CUSTOMERS)


@pytest.fixture(scope="module", params=["kafka", "postgres"])
def company(request: pytest.FixtureRequest, restic_binary: ResticBinary) -> Iterator[Installation]:
    """Processes on PostgreSQL, with Kafka or a PostgreSQL log; every test on it has a seed of its own."""
    postgres: PostgresServer = request.getfixturevalue("postgres_server")
    kafka: KafkaServer | None = request.getfixturevalue("kafka_server") if request.param == "kafka" else None
    with installation.split(postgres, kafka=kafka, replicas=1, name=f"killed_{request.param}") as running:
        yield running
        # To end in good order takes some seconds each, and is tested elsewhere.
        for process in running.processes.values():
            process.kill()


async def test_processes_are_killed_at_seams_and_at_any_moment(company: Installation) -> None:
    at_seams = KAFKA if company.kafka else POSTGRES
    await kill_through_a_term(company, at_seams, seed=2, customers=CUSTOMERS)


async def test_who_stood_still_past_its_leases_does_no_harm_when_it_goes_on(company: Installation) -> None:
    await stand_still_through_a_term(company, seed=3, customers=CUSTOMERS)
