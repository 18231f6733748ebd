"""The history checker: what clients were answered, what every database holds and what the log carries must agree.

Each rule takes plain data and yields what does not hold, in words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from shared.events.envelope import Envelope
from shared.events.registry import PARTNER_TOPIC_PREFIX
from shared.kit.bus.log import Partition
from tests.faults.evidence import Evidence, Logged, Row, heard_by, witness_of
from tests.faults.promised import broken_promises
from tests.faults.workload import Answered, History
from tests.system.installation import SERVICES, Installation

Complaints = Iterator[str]
Stream = tuple[str, str]


class HistoryBroken(AssertionError):
    """The promise does not hold; the message says where, and by which seed it may be played again."""


@dataclass(frozen=True)
class Effect:
    """What an accepted command leaves behind: a row with the columns that the answer showed, and one event."""

    service: str
    table: str
    column: str = "id"
    event: str | None = None
    shown: tuple[str, ...] = ()


EFFECTS: dict[str, Effect] = {
    "register-customer": Effect("contracts", "customers", event="customer-registered", shown=("zone", "registered_at")),
    "put-contact": Effect("notify", "contacts", "customer_id", shown=("email",)),
    "put-profile": Effect("billing", "billing_profiles", "customer_id", shown=("legal_name",)),
    "register-server": Effect("contracts", "servers", event="server-registered", shown=("name", "registered_at")),
    "draft-contract": Effect("contracts", "contracts", shown=("drafted_at",)),
    "accept-contract": Effect("contracts", "contracts", event="contract-accepted", shown=("accepted_at",)),
    "report-payment": Effect("billing", "payments", event="payment-reported", shown=("reported_at",)),
    "approve-payment": Effect("billing", "payments", event="payment-audited", shown=("status", "audited_at")),
    "renew": Effect("contracts", "contracts", event="renewal-requested"),
    "stop": Effect("contracts", "contracts", event="stop-requested"),
}
MADE_BY_COMMANDS = {"register-customer", "register-server", "draft-contract", "report-payment"}
"""Their rows come from nowhere else."""


@dataclass(frozen=True)
class Pair:
    """Rows and events that exist for each other: `when` names the column that is set once the event is told."""

    service: str
    table: str
    when: str
    event: str
    field: str


PAIRS = [
    Pair("contracts", "customers", "id", "customer-registered", "customer_id"),
    Pair("contracts", "servers", "id", "server-registered", "server_id"),
    Pair("contracts", "contracts", "accepted_at", "contract-accepted", "contract_id"),
    Pair("contracts", "contracts", "ended_at", "service-expired", "contract_id"),
    Pair("billing", "invoices", "issued_at", "invoice-issued", "invoice_id"),
    Pair("billing", "invoices", "settled_at", "invoice-settled", "invoice_id"),
    Pair("billing", "payments", "id", "payment-reported", "payment_id"),
    Pair("billing", "payments", "audited_at", "payment-audited", "payment_id"),
    Pair("contracts", "payments", "id", "payment-reported", "payment_id"),
    Pair("contracts", "payments", "audited_at", "payment-audited", "payment_id"),
    Pair("backup", "protections", "id", "protection-started", "protection_id"),
    Pair("backup", "runs", "completed_at", "backup-completed", "run_id"),
]

TOLD_ONCE: dict[str, tuple[str, ...]] = {
    **{pair.event: (pair.field,) for pair in PAIRS},
    "invoice-issued": ("contract_id", "period_index"),
    "protection-started": ("contract_id", "server_id"),
    "service-registered": ("contract_id",),
    "service-expiring": ("contract_id", "period_index"),
    "service-renewed": ("contract_id", "period_index"),
    "renewal-requested": ("contract_id", "period_index"),
    "notice-delivered": ("notice_id",),
}
STORED_ONCE: dict[tuple[str, str], tuple[str, ...]] = {
    ("billing", "invoices"): ("contract_id", "period_index"),
    ("contracts", "periods"): ("contract_id", "period_index"),
    ("backup", "protections"): ("contract_id", "server_id"),
    ("backup", "runs"): ("protection_id", "slot_at"),
    ("notify", "notices"): ("kind", "caused_by"),
}
CAUSES: dict[str, tuple[set[str], tuple[str, ...]]] = {
    "invoice-issued": ({"contract-accepted", "renewal-requested"}, ("contract_id", "period_index")),
    "service-registered": ({"payment-audited"}, ("payment_id",)),
    "service-renewed": ({"payment-audited"}, ("payment_id",)),
    "protection-started": ({"service-registered"}, ("contract_id",)),
    "backup-completed": ({"protection-started"}, ("protection_id",)),
}
"""Which facts an event comes from, and the fields in which both agree."""


_earlier: dict[str, list[History]] = defaultdict(list)


async def check(company: Installation, *histories: History) -> Evidence:
    """Wait for quiet and raise HistoryBroken unless everything agrees.

    Every workload that ran on the installation is given, now or in an earlier call of this process.
    """
    known = _earlier[company.url]
    known += [history for history in histories if not any(history is other for other in known)]
    async with witness_of(company) as witness:
        evidence = await witness.evidence()
    broken = [*complaints(known, evidence), *broken_promises(evidence)]
    if broken:
        seeds = ", ".join(history.summary() for history in known)
        raise HistoryBroken("\n".join([seeds, *broken[:40], company.logs()]))
    return evidence


def complaints(histories: Sequence[History], evidence: Evidence) -> list[str]:
    """What does not hold, each with the name of its rule."""
    return [f"{rule.__name__}: {what}" for rule in RULES for what in rule(histories, evidence)]


def one_key_has_one_answer(histories: Sequence[History], _evidence: Evidence) -> Complaints:
    first: dict[str, Answered] = {}
    for history in histories:
        for answer in history.answers:
            known = first.setdefault(answer.key, answer)
            posted = not answer.verb.startswith("put-")
            if posted and (answer.status, answer.body) != (known.status, known.body):
                yield f"{answer.key} was answered {known.status} {known.body}, then {answer.status} {answer.body}"


def what_was_answered_is_there(histories: Sequence[History], evidence: Evidence) -> Complaints:
    told = Counter((event.correlationid, _kind(event), event.subject) for event in _events(evidence))
    rows = {effect: _by_column(evidence, effect) for effect in EFFECTS.values()}
    accepted = {answer.key: answer for history in histories for answer in history.answers if answer.accepted}
    for answer in accepted.values():
        effect = EFFECTS.get(answer.verb)
        if effect is None:
            continue
        subject = answer.customer_id if effect.column == "customer_id" else UUID(answer.body["id"])
        row = rows[effect].get(subject)
        if row is None:
            yield f"{answer.key}: no row of {subject} in {effect.service}.{effect.table}"
            continue
        for column in effect.shown:
            if not _same(answer.body[column], row[column]):
                yield f"{answer.key}: {column} was answered {answer.body[column]}, stored is {row[column]}"
        if effect.event and (number := told[answer.key, effect.event, str(subject)]) != 1:
            yield f"{answer.key}: {number} {effect.event} of {subject}"


def what_is_stored_was_asked_for(histories: Sequence[History], evidence: Evidence) -> Complaints:
    for verb in sorted(MADE_BY_COMMANDS):
        effect = EFFECTS[verb]
        answered = {UUID(answer.body["id"]) for history in histories for answer in history.accepted(verb)}
        unsure = {given.customer_id for history in histories for given in history.given_up if given.verb == verb}
        for identity, row in _by_column(evidence, effect).items():
            if identity not in answered and row.get("customer_id", identity) not in unsure:
                yield f"{effect.service}.{effect.table} {identity} comes from no {verb}"


def rows_and_events_match(_histories: Sequence[History], evidence: Evidence) -> Complaints:
    for pair in PAIRS:
        rows = {row["id"] for row in evidence.rows(pair.service, pair.table) if row[pair.when] is not None}
        told = {UUID(event.data[pair.field]) for event in _events(evidence) if _kind(event) == pair.event}
        for identity in sorted(rows - told):
            yield f"{pair.service}.{pair.table} {identity} has no {pair.event}"
        for identity in sorted(told - rows):
            yield f"{pair.event} of {identity} has no row in {pair.service}.{pair.table}"


def what_happens_once_happened_once(_histories: Sequence[History], evidence: Evidence) -> Complaints:
    told = Counter(
        (_kind(event), tuple(str(event.data[field]) for field in TOLD_ONCE[_kind(event)]))
        for event in _events(evidence)
        if _kind(event) in TOLD_ONCE
    )
    stored = Counter(
        (f"{service}.{table}", tuple(str(row[column]) for column in columns))
        for (service, table), columns in STORED_ONCE.items()
        for row in evidence.rows(service, table)
        if row.get("status") != "void"
    )
    for (what, key), number in (told + stored).items():
        if number > 1:
            yield f"{number} × {what} {' '.join(key)}"


def order_is_kept(_histories: Sequence[History], evidence: Evidence) -> Complaints:
    """First occurrences rise by one, an epoch begins at 1, and a number stands for one event."""
    ids: dict[tuple[Stream, tuple[int, int]], UUID] = {}
    homes: dict[Stream, int] = {}
    firsts: dict[Stream, list[tuple[int, int]]] = defaultdict(list)
    for logged in evidence.log:
        stream = _stream(logged)
        if homes.setdefault(stream, logged.partition.number) != logged.partition.number:
            yield f"{stream} is in two partitions"
        known = ids.setdefault((stream, logged.position), logged.envelope.id)
        if known != logged.envelope.id:
            yield f"{stream} {logged.position} is {known} and {logged.envelope.id}"
        elif logged.position not in firsts[stream]:
            firsts[stream].append(logged.position)
    for stream, positions in firsts.items():
        for before, after in pairwise([(positions[0][0], 0), *positions]):
            expected = before[1] + 1 if after[0] == before[0] else 1
            if after < before or after[1] != expected:
                yield f"{stream}: {after} follows {before}"
    for identity, number in Counter(ids.values()).items():
        if number > 1:
            yield f"event {identity} has {number} numbers"


def every_effect_has_its_cause(histories: Sequence[History], evidence: Evidence) -> Complaints:
    events = {str(event.id): event for event in _events(evidence)}
    keys = {answer.key for history in histories for answer in history.answers}
    keys |= {given.key for history in histories for given in history.given_up}
    for event in events.values():
        if event.causationid is not None and event.causationid not in events:
            yield f"{_kind(event)} {event.subject} is caused by {event.causationid}, which nobody told"
        if event.correlationid not in keys:
            yield f"{_kind(event)} {event.subject} belongs to {event.correlationid}, which nobody asked for"
        if _kind(event) in CAUSES and not any(_is_cause(cause, event) for cause in events.values()):
            yield f"{_kind(event)} {event.subject} has no {' or '.join(sorted(CAUSES[_kind(event)][0]))}"
    for notice in evidence.rows("notify", "notices"):
        if str(notice["caused_by"]) not in events:
            yield f"notice {notice['id']} is caused by {notice['caused_by']}, which nobody told"


def nothing_waits(_histories: Sequence[History], evidence: Evidence) -> Complaints:
    for service in SERVICES:
        for table in ("outbox", "parked_events"):
            for row in evidence.rows(service, table):
                yield f"{service}.{table} holds {row['topic']} {row['key']} {row.get('error') or ''}"
        for row in evidence.rows(service, "timers"):
            if row["parked_at"] is not None:
                yield f"{service} parked {row['kind']} of {row['subject_id']}: {row['last_error']}"
        for row in evidence.rows(service, "audit_rows"):
            if row["seq"] is None:
                yield f"{service}: audit row {row['id']} is not sealed"


def everything_has_arrived(_histories: Sequence[History], evidence: Evidence) -> Complaints:
    """What a producer told is on the log up to the last, and every consumer is exactly there."""
    log: dict[Stream, tuple[int, int]] = {}
    for logged in evidence.log:
        log[_stream(logged)] = max(log.get(_stream(logged), (0, 0)), logged.position)
    for service in SERVICES:
        told = _positions(evidence.rows(service, "streams"))
        applied = _positions(evidence.rows(service, "consumer_positions"))
        for stream, position in told.items():
            if not stream[0].startswith(PARTNER_TOPIC_PREFIX) and log.get(stream) != position:
                yield f"{service} told {stream} up to {position}, the log has {log.get(stream)}"
        for stream in sorted(log.keys() | applied.keys()):
            if stream[0] in heard_by(service) and log.get(stream) != applied.get(stream):
                yield f"{service} is at {applied.get(stream)} of {stream}, the log at {log.get(stream)}"
        for row in evidence.rows(service, "consumer_offsets"):
            end = evidence.ends.get(Partition(row["topic"], row["partition"]))
            if row["next_offset"] != end:
                yield f"{service} reads on at {row['next_offset']} of {row['topic']} {row['partition']}, not at {end}"


def every_backup_is_there_once(_histories: Sequence[History], evidence: Evidence) -> Complaints:
    snapshots = Counter(evidence.snapshots)
    for row in evidence.rows("backup", "runs"):
        number = snapshots.pop(f"run:{row['id']}", 0)
        if number > 1 or (row["completed_at"] is not None and number != 1):
            yield f"{number} snapshots of run {row['id']}, {row['status']}"
    for tag, number in snapshots.items():
        yield f"{number} snapshots of {tag}, of which no run is known"


def audit_chains_hold(_histories: Sequence[History], evidence: Evidence) -> Complaints:
    yield from evidence.broken_chains


RULES: list[Callable[[Sequence[History], Evidence], Complaints]] = [
    one_key_has_one_answer,
    what_was_answered_is_there,
    what_is_stored_was_asked_for,
    rows_and_events_match,
    what_happens_once_happened_once,
    order_is_kept,
    every_effect_has_its_cause,
    every_backup_is_there_once,
    nothing_waits,
    everything_has_arrived,
    audit_chains_hold,
]


def _events(evidence: Evidence) -> list[Envelope]:
    """Each event once, however often the log has it."""
    return list({logged.envelope.id: logged.envelope for logged in evidence.log}.values())


def _kind(event: Envelope) -> str:
    return event.type.split(".")[2]


def _stream(logged: Logged) -> Stream:
    return logged.partition.topic, logged.key


def _positions(rows: Sequence[Row]) -> dict[Stream, tuple[int, int]]:
    return {(row["topic"], row["key"]): (row["epoch"], row["seq"]) for row in rows}


def _by_column(evidence: Evidence, effect: Effect) -> dict[UUID, Row]:
    return {row[effect.column]: row for row in evidence.rows(effect.service, effect.table)}


def _is_cause(cause: Envelope, event: Envelope) -> bool:
    kinds, fields = CAUSES[_kind(event)]
    approved = cause.data.get("verdict", "approved") == "approved"
    return _kind(cause) in kinds and approved and all(cause.data[field] == event.data[field] for field in fields)


def _same(said: Any, stored: Any) -> bool:
    return bool(datetime.fromisoformat(said) == stored if isinstance(stored, datetime) else said == str(stored))
