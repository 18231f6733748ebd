"""An installation moves whole: from SQLite to PostgreSQL and Kafka, and out of a backup after a disaster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from deploy.demo.client import Person
from shared.kit.auth import Role
from tests.deploy.cli.test_commands import told
from tests.faults.evidence import Evidence, Row, witness_of
from tests.faults.history import complaints
from tests.faults.outside import mainstay
from tests.faults.promised import broken_promises
from tests.faults.workload import Customer, GivenUp, History, Workload
from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.process import folder_of_this_run
from tests.infrastructure.restic import ResticBinary
from tests.infrastructure.waiting import run_apart
from tests.system import installation
from tests.system.installation import SERVICES, Installation, forget_topics

PASSPHRASE = "correct horse battery staple\n"
SAME = [("contracts", "contracts"), ("billing", "invoices"), ("billing", "payments"), ("notify", "notices")]
LATER_SNAPSHOT = "of which no run is known"
"""Repositories are copied after the point, so a backup that was made in between is there, and harmless."""


@dataclass
class Move:
    """What went on before: in which installation it goes on now, and what is known of the one before."""

    folder: Path
    early: Workload
    partner: Any = None
    read: list[Any] = field(default_factory=list)
    """All events that the partner has read."""
    before: Evidence | None = None
    company: Installation | None = None

    @property
    def passphrase(self) -> list[str]:
        return ["--passphrase-file", str(self.folder / "passphrase"), "--quiet"]


@pytest.fixture(scope="module")
def moved(restic_binary: ResticBinary, postgres_server: PostgresServer, kafka_server: KafkaServer) -> Iterator[Move]:
    """A company that signed a customer on SQLite, was exported, and runs on PostgreSQL and Kafka by now."""
    with folder_of_this_run("moving") as folder:
        (folder / "passphrase").write_text(PASSPHRASE)
        with installation.embedded() as small:
            move = Move(folder, Workload(small.url, seed=1, customers=1))
            run_apart(_live_in(small, move))
            small.stop()
            _mainstay(small, "export", str(folder / "export"), *move.passphrase)

            def take_in(company: Installation) -> None:
                _mainstay(company, "import", str(folder / "export"), *move.passphrase)

            with installation.split(
                postgres_server, kafka=kafka_server, replicas=1, name="moved", prepare=take_in
            ) as company:
                move.company = company
                yield move


@pytest.mark.timeout(600)
async def test_what_was_exported_is_there_and_business_goes_on(moved: Move) -> None:
    assert moved.company is not None
    assert moved.before is not None
    async with witness_of(moved.company) as witness:
        evidence = await witness.evidence()
    for service, table in SAME:
        assert _by_id(evidence, service, table) == _by_id(moved.before, service, table)
    assert not evidence.broken_chains

    await moved.early.go_on_at(moved.company.url)
    await moved.early.open_windows()
    await _read_on(moved)
    assert {event["type"] for event in moved.read} >= {"mainstay.contracts.service-expiring.v1"}
    _expect_no_gap(moved.read)


@pytest.mark.timeout(600)
async def test_a_backup_made_under_traffic_restores_to_one_point(
    moved: Move, postgres_server: PostgresServer, kafka_server: KafkaServer
) -> None:
    company = moved.company
    assert company is not None
    backup = str(moved.folder / "backup")
    async with Workload(company.url, seed=2, customers=40) as busy:
        backing_up = asyncio.create_task(
            asyncio.to_thread(mainstay, company, "backup-system", backup, "--with-repositories", *moved.passphrase)
        )
        await asyncio.gather(*(_sign_until(backing_up, busy.customers[lane::2]) for lane in range(2)))
        said = await backing_up
        await _read_on(moved)
        number = await _last_number(busy)
    company.stop()
    _destroy(postgres_server, kafka_server)

    seen = [f"--last-number={number}", f"--last-sequence={moved.partner['id']}={moved.read[-1]['sequence']}"]

    def restore(again: Installation) -> None:
        restored = _mainstay(again, "restore-system", backup, *seen, *moved.passphrase)
        assert restored["rows"] == said["rows"]

    elsewhere = {f"MAINSTAY_{name.upper()}_DATABASE_URL": company.databases[name] for name in SERVICES}
    elsewhere |= {"MAINSTAY_EVENT_LOG": "kafka", "MAINSTAY_KAFKA_BOOTSTRAP": kafka_server.bootstrap}
    with installation.embedded(prepare=restore, **elsewhere) as again:
        await moved.early.go_on_at(again.url)
        await moved.early.decide()
        await moved.early.end_terms()
        assert await _last_number(moved.early) > number
        async with witness_of(again) as witness:
            evidence = await witness.evidence()
        await _read_on(moved)
    at_the_point = _as_of(datetime.fromisoformat(said["made_at"]), busy.history)
    assert at_the_point.given_up, "commands were answered after the point as well"
    found = [*complaints([moved.early.history, at_the_point], evidence), *broken_promises(evidence)]
    # Numbers given after the point are missing in the books for ever: that they are not given again is the point.
    found = [one for one in found if "invoice numbers" not in one and LATER_SNAPSHOT not in one]
    assert not found, "\n".join(found)
    _expect_no_gap(moved.read)


async def _live_in(small: Installation, move: Move) -> None:
    async with move.early as early:
        early.customers[0].choice = "renew"
        move.partner = await _partner_of(early)
        await early.sign()
        await _read_on(move)
        async with witness_of(small) as witness:
            move.before = await witness.evidence()


async def _sign_until(done: asyncio.Future[Any], customers: Sequence[Customer]) -> None:
    """One after the other; whoever has begun signs to the end, and one begins after `done`."""
    for customer in customers:
        is_last = done.done()
        await customer.sign()
        if is_last:
            return


async def _partner_of(workload: Workload) -> Any:
    customer = workload.customers[0].id

    async def send(path: str, key: str, **body: str) -> Any:
        return await workload.command(workload.admin, "partner", customer, key, "POST", f"/notify/v1/{path}", json=body)

    partner = await send("partners", "the-partner", name="Beta Audit")
    await send("partner-links", "link", partner_id=partner["id"], customer_id=str(customer), channel="portal")
    return partner


async def _read_on(move: Move) -> None:
    """All that is new to the partner, behind the cursor that it has kept."""
    person: Person = await move.early.deployment.person("partner", Role.PARTNER, partner_id=UUID(move.partner["id"]))
    at = {"cursor": move.partner["cursor"]} if "cursor" in move.partner else {}
    page = await person.get("the feed", "/notify/v1/events", limit=200, **at)
    move.partner["cursor"] = page["next_cursor"]
    move.read += page["items"]


def _mainstay(company: Installation, *arguments: str) -> Any:
    """The command in this process, which has imported everything already; apart from a running loop."""
    environment = next(iter(company.processes.values())).environment or {}
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as apart:
        for name, value in environment.items():
            patch.setenv(name, value)
        return apart.submit(told, *arguments).result()


def _expect_no_gap(events: list[Any]) -> None:
    assert [int(event["sequence"]) for event in events] == list(range(1, len(events) + 1))
    assert len({event["id"] for event in events}) == len(events)


async def _last_number(workload: Workload) -> str:
    numbers: list[str] = []
    for customer in (each for each in workload.customers if each.contract_id):
        found = await customer._person.all("invoices", "/billing/v1/invoices", contract_id=customer.contract_id)
        numbers += [one["number"] for one in found if one["number"]]
    return max(numbers)


def _destroy(postgres: PostgresServer, kafka: KafkaServer) -> None:
    for service in SERVICES:
        postgres.drop_database(f"moved_{service}")
        postgres.create_database(f"moved_{service}")
    run_apart(forget_topics(kafka.bootstrap))


def _as_of(point: datetime, history: History) -> History:
    """What was answered by then is to be there; whether what was answered later is, nobody can say."""
    later = [answer for answer in history.answers if answer.at >= point]
    return History(
        seed=history.seed,
        answers=[answer for answer in history.answers if answer.at < point],
        given_up=[GivenUp(answer.verb, answer.customer_id, answer.key, "after the point") for answer in later],
    )


def _by_id(evidence: Evidence, service: str, table: str) -> dict[Any, Row]:
    return {row["id"]: row for row in evidence.rows(service, table)}
