"""The history checker finds what is planted: it is worth what it can fail at. Plain data, no servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events.envelope import Envelope
from shared.events.registry import FACTS
from shared.kit.bus.log import Partition
from tests.faults.evidence import Evidence, Logged, heard_by
from tests.faults.history import complaints
from tests.faults.promised import broken_promises
from tests.faults.workload import Answered, GivenUp, History
from tests.system.installation import SERVICES

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
CUSTOMER, SERVER, CONTRACT, INVOICE, PAYMENT, NOTICE, RUN = (UUID(int=number) for number in range(1, 8))
OF_CUSTOMER = {"customer_id": CUSTOMER}


@dataclass
class Story:
    """One customer's main job as it should have left its traces; a test changes one of them."""

    history: History = field(default_factory=lambda: History(seed=1))
    tables: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=lambda: {each: {} for each in SERVICES})
    log: list[Logged] = field(default_factory=list)
    broken_chains: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)

    def answered(self, verb: str, **body: Any) -> str:
        key = f"{verb}-{len(self.history.answers)}"
        self.history.answers.append(Answered(verb, CUSTOMER, key, 201, body, 1, NOON))
        return key

    def stored(self, service: str, table: str, **row: Any) -> dict[str, Any]:
        self.tables[service].setdefault(table, []).append(row)
        return row

    def keep_last(self, service: str, table: str, row: dict[str, Any]) -> None:
        rows = self.tables[service].setdefault(table, [])
        rows[:] = [other for other in rows if (other["topic"], other.get("key")) != (row["topic"], row.get("key"))]
        rows.append(row)

    def told(self, kind: str, subject: UUID, *, key: str, cause: Logged | None = None, **data: Any) -> Logged:
        fact = next(fact for fact in FACTS if fact.kind == kind)
        topic = fact.topic()
        seq = 1 + sum(logged.key == str(subject) and logged.partition.topic == topic for logged in self.log)
        envelope = Envelope(
            id=uuid4(),
            source=f"/{fact.producer}",
            type=fact.type_name(),
            subject=str(subject),
            time=NOON,
            dataschema="",
            aggseq=seq,
            aggepoch=1,
            correlationid=key,
            causationid=str(cause.envelope.id) if cause else None,
            data={"customer_id": str(CUSTOMER), **data},
        )
        return self.logged(Logged(Partition(topic, 0), 0, str(subject), envelope))

    def logged(self, logged: Logged) -> Logged:
        offset = sum(other.partition == logged.partition for other in self.log)
        self.log.append(replace(logged, offset=offset))
        return self.log[-1]

    def of(self, kind: str) -> Logged:
        return next(logged for logged in self.log if logged.kind == kind)

    def unlog(self, kind: str) -> None:
        self.log.remove(self.of(kind))

    def complaints(self) -> list[str]:
        ends: dict[Partition, int] = {}
        for logged in self.log:
            ends[logged.partition] = logged.offset + 1
        evidence = Evidence(
            tables=self.tables,
            log=self.log,
            ends=ends,
            broken_chains=self.broken_chains,
            now=NOON,
            snapshots=self.snapshots,
        )
        return complaints([self.history], evidence)


def a_story() -> Story:
    story = Story()
    at = NOON.isoformat()
    key = story.answered("register-customer", id=str(CUSTOMER), zone="UTC", registered_at=at)
    story.stored("contracts", "customers", id=CUSTOMER, zone="UTC", registered_at=NOON)
    story.told("customer-registered", CUSTOMER, key=key)
    story.answered("draft-contract", id=str(CONTRACT), drafted_at=at)
    key = story.answered("accept-contract", id=str(CONTRACT), accepted_at=at)
    contract = {"id": CONTRACT, "drafted_at": NOON, "accepted_at": NOON, "ended_at": None, "status": "active"}
    story.stored("contracts", "contracts", **contract, **OF_CUSTOMER)
    period: dict[str, Any] = {"contract_id": str(CONTRACT), "period_index": 1}
    accepted = story.told("contract-accepted", CONTRACT, key=key, **period)
    issued = {"id": INVOICE, "contract_id": CONTRACT, "period_index": 1, "issued_at": NOON}
    story.stored("billing", "invoices", **issued, settled_at=None, status="issued", **OF_CUSTOMER)
    story.told("invoice-issued", INVOICE, key=key, cause=accepted, invoice_id=str(INVOICE), **period)
    story.stored(
        "notify", "notices", id=NOTICE, kind="invoice-issued", caused_by=story.of("invoice-issued").envelope.id
    )
    key = story.answered("report-payment", id=str(PAYMENT), reported_at=at)
    payment = {"id": PAYMENT, "reported_at": NOON, "audited_at": NOON, "status": "approved", **OF_CUSTOMER}
    story.stored("billing", "payments", **payment)
    story.stored("contracts", "payments", **payment)
    story.told("payment-reported", PAYMENT, key=key, payment_id=str(PAYMENT))
    key = story.answered("approve-payment", id=str(PAYMENT), status="approved", audited_at=at)
    audited = story.told("payment-audited", PAYMENT, key=key, payment_id=str(PAYMENT), verdict="approved")
    story.told("service-registered", CONTRACT, key=key, cause=audited, payment_id=str(PAYMENT), **period)
    run = {"id": RUN, "protection_id": RUN, "slot_at": NOON, "status": "succeeded", "completed_at": NOON}
    story.stored("backup", "runs", **run)
    story.snapshots.append(f"run:{RUN}")
    named: dict[str, Any] = {"protection_id": str(RUN), "contract_id": str(CONTRACT), "server_id": str(SERVER)}
    registered = story.of("service-registered")
    story.stored("backup", "protections", id=RUN, contract_id=CONTRACT, server_id=SERVER)
    story.told("protection-started", RUN, key=key, cause=registered, **named)
    story.told("backup-completed", RUN, key=key, run_id=str(RUN), **named)
    for logged in story.log:
        position = {"topic": logged.partition.topic, "key": logged.key, "epoch": 1, "seq": logged.envelope.aggseq}
        partition = {"topic": logged.partition.topic, "partition": 0, "next_offset": logged.offset + 1}
        story.keep_last(logged.envelope.producer, "streams", position)
        for service in SERVICES:
            if logged.partition.topic in heard_by(service):
                story.keep_last(service, "consumer_positions", position)
                story.keep_last(service, "consumer_offsets", partition)
    return story


def test_a_story_that_went_well_has_no_complaint() -> None:
    assert a_story().complaints() == []


def _lose(service: str, table: str) -> Callable[[Story], None]:
    return lambda story: story.tables[service][table].clear()


def _double(service: str, table: str, **changes: Any) -> Callable[[Story], None]:
    def plant(story: Story) -> None:
        story.stored(service, table, **(story.tables[service][table][0] | changes))

    return plant


def _say(kind: str, **changes: Any) -> Callable[[Story], None]:
    """The event of that kind once more on the log, with these attributes."""

    def plant(story: Story) -> None:
        logged = story.of(kind)
        story.logged(replace(logged, envelope=replace(logged.envelope, **changes)))

    return plant


def _change(kind: str, **changes: Any) -> Callable[[Story], None]:
    def plant(story: Story) -> None:
        place = story.log.index(story.of(kind))
        story.log[place] = replace(story.log[place], envelope=replace(story.log[place].envelope, **changes))

    return plant


def _answer_otherwise(story: Story) -> None:
    first = story.history.answers[0]
    story.history.answers.append(replace(first, body={**first.body, "id": str(uuid4())}))


def _swap(story: Story) -> None:
    """The contract's second event before its first."""
    places = [place for place, logged in enumerate(story.log) if logged.partition.topic == "contracts.contract"]
    first, second = places
    story.log[first], story.log[second] = story.log[second], story.log[first]


def _move_to_another_partition(story: Story) -> None:
    place = story.log.index(story.of("payment-audited"))
    story.log[place] = replace(story.log[place], partition=Partition("billing.payment", 1))


def _lose_the_invoice_whole(story: Story) -> None:
    story.tables["billing"]["invoices"].clear()
    story.unlog("invoice-issued")


def _park(story: Story) -> None:
    story.stored("billing", "timers", parked_at=NOON, kind="some", subject_id=CUSTOMER, last_error="why")


PLANTED: dict[str, tuple[Callable[[Story], object], str]] = {
    "an answered row is lost": (_lose("billing", "payments"), "what_was_answered_is_there"),
    "an answered event is lost": (lambda story: story.unlog("payment-reported"), "what_was_answered_is_there"),
    "an effect was taken back": (
        lambda story: story.tables["contracts"]["contracts"][0].update(accepted_at=None),
        "what_was_answered_is_there",
    ),
    "a command was applied twice": (_double("billing", "payments", id=uuid4()), "what_is_stored_was_asked_for"),
    "one key got two answers": (_answer_otherwise, "one_key_has_one_answer"),
    "a consumer's row is lost": (_lose("contracts", "payments"), "rows_and_events_match"),
    "an invoice is lost with its event": (
        _lose_the_invoice_whole,
        "every_effect_has_its_cause",
    ),
    "a period has two invoices": (_double("billing", "invoices", id=uuid4()), "what_happens_once_happened_once"),
    "a cause has two notices": (_double("notify", "notices", id=uuid4()), "what_happens_once_happened_once"),
    "a service is registered twice": (
        _say("service-registered", id=uuid4(), aggseq=3),
        "what_happens_once_happened_once",
    ),
    "two events of a key are inverted": (_swap, "order_is_kept"),
    "a key's number is left out": (_change("service-registered", aggseq=3), "order_is_kept"),
    "a new epoch does not begin at one": (_change("service-registered", aggepoch=2), "order_is_kept"),
    "a number stands for two events": (_say("contract-accepted", id=uuid4()), "order_is_kept"),
    "an event has two numbers": (_say("service-registered", aggseq=3), "order_is_kept"),
    "a key is in two partitions": (_move_to_another_partition, "order_is_kept"),
    "an event is caused by one that nobody told": (
        _change("service-registered", causationid=str(uuid4())),
        "every_effect_has_its_cause",
    ),
    "an event belongs to no command": (
        _change("service-registered", correlationid="nobody"),
        "every_effect_has_its_cause",
    ),
    "a service is registered by a rejected payment": (
        lambda story: story.of("payment-audited").envelope.data.update(verdict="rejected"),
        "every_effect_has_its_cause",
    ),
    "a notice has no cause": (_double("notify", "notices", caused_by=uuid4()), "every_effect_has_its_cause"),
    "a row has no command": (
        lambda story: story.stored("contracts", "customers", id=SERVER, zone="UTC", registered_at=NOON),
        "what_is_stored_was_asked_for",
    ),
    "a backup is lost": (lambda story: story.snapshots.clear(), "every_backup_is_there_once"),
    "a backup is there twice": (lambda story: story.snapshots.append(f"run:{RUN}"), "every_backup_is_there_once"),
    "a backup is of no run": (lambda story: story.snapshots.append("run:0"), "every_backup_is_there_once"),
    "a timer is parked": (_park, "nothing_waits"),
    "the last event did not reach the log": (
        lambda story: story.tables["billing"]["streams"][-1].update(seq=9),
        "everything_has_arrived",
    ),
    "a consumer is beyond the log": (
        lambda story: story.tables["billing"]["consumer_positions"][0].update(seq=9),
        "everything_has_arrived",
    ),
    "a consumer has not read to the end": (
        lambda story: story.tables["billing"]["consumer_offsets"][0].update(next_offset=0),
        "everything_has_arrived",
    ),
    "an audit chain is broken": (lambda story: story.broken_chains.append("billing: row 3"), "audit_chains_hold"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found(what: str) -> None:
    plant, rule = PLANTED[what]
    story = a_story()
    plant(story)
    found = story.complaints()
    assert rule in {complaint.partition(":")[0] for complaint in found}, found


def test_an_event_that_came_twice_is_no_complaint() -> None:
    story = a_story()
    _say("service-registered")(story)
    story.keep_last("billing", "consumer_offsets", {"topic": "contracts.contract", "partition": 0, "next_offset": 3})
    story.keep_last("backup", "consumer_offsets", {"topic": "contracts.contract", "partition": 0, "next_offset": 3})
    story.keep_last("notify", "consumer_offsets", {"topic": "contracts.contract", "partition": 0, "next_offset": 3})
    assert story.complaints() == []


def test_the_effect_of_a_command_that_was_given_up_may_be_there() -> None:
    story = a_story()
    story.history.given_up.append(GivenUp("report-payment", CUSTOMER, "given-up", "patience ended"))
    story.stored("billing", "payments", id=SERVER, reported_at=NOON, audited_at=None, status="reported", **OF_CUSTOMER)
    story.stored("contracts", "payments", id=SERVER, reported_at=NOON, audited_at=None)
    told = story.told("payment-reported", SERVER, key="given-up", payment_id=str(SERVER))
    assert not [each for each in story.complaints() if not each.startswith("everything_has_arrived")], told


def test_a_broken_promise_of_the_simulation_is_found_in_real_tables() -> None:
    row = {"shard": 1, "topic": "billing.invoice", "key": "k", "headers": [], "value": b"", "enqueued_at": NOON}
    tables = {"billing": {"outbox": [row]}}
    evidence = Evidence(tables=tables, log=[], ends={}, broken_chains=[], now=NOON)
    assert list(broken_promises(evidence)) == [
        "all of billing is announced and sealed: billing.invoice (customer None)"
    ]
