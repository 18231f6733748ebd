"""Killed at every seam and at any moment, under a workload: what was answered holds, once, in order, with its cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.faults.killing import kill_through_a_term
from tests.faults.seams import SEAMS
from tests.infrastructure.restic import ResticBinary
from tests.system import installation
from tests.system.installation import Installation

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


async def test_processes_on_kafka_are_killed_at_seams_and_at_any_moment(kafka_company: Installation) -> None:
    await kill_through_a_term(kafka_company, KAFKA, seed=2, customers=CUSTOMERS)


async def test_processes_on_a_postgresql_log_are_killed_at_seams_and_at_any_moment(
    postgres_company: Installation,
) -> None:
    await kill_through_a_term(postgres_company, POSTGRES, seed=3, customers=CUSTOMERS)
