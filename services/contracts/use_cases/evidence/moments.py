"""What happened when, as the timeline of an evidence bundle tells it; each moment names the file that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.contracts.db.evidence_facts import EvidenceFact
from services.contracts.domain.incident import Incident

Moment = dict[str, Any]

_OF_RECORDS = {
    "work.json": {
        "requested_at": "work-requested",
        "decided_at": "work-decided",
        "scheduled_at": "work-scheduled",
        "started_at": "work-started",
        "ended_at": "work-ended",
        "signed_off_at": "work-signed-off",
    },
    "assessments.json": {"assessed_at": "risk-assessed"},
    "acknowledgements.json": {"acknowledged_at": "risk-acknowledged"},
    "conditions.json": {"declared_at": "conditions-declared-unmet", "lifted_at": "conditions-lifted"},
    "software.json": {"declared_at": "software-declared"},
    "reveals.json": {"revealed_at": "secret-revealed"},
    "disclosures.json": {
        "disclosed_at": "secret-disclosed",
        "reported_at": "disclosure-reported",
        "overdue_at": "replacement-overdue",
        "replaced_at": "secret-replaced",
    },
    "emergencies.json": {
        "reported_at": "emergency-reported",
        "acknowledged_at": "emergency-acknowledged",
        "ended_at": "emergency-ended",
    },
    "extensions.json": {"requested_at": "extension-requested", "decided_at": "extension-decided"},
    "refunds.json": {
        "requested_at": "refund-requested",
        "taken_back_at": "refund-taken-back",
        "answered_at": "refund-answered",
    },
    "warranty.json": {"claimed_at": "warranty-claimed"},
}


def of_acceptance(row: dict[str, Any]) -> Iterator[Moment]:
    yield _moment(row["accepted_at"], "agreement-accepted", row["id"], "acceptances.json")


def of_period(row: dict[str, Any], contract_id: str) -> Iterator[Moment]:
    if row["status"] == "paid":
        yield _moment(row["starts_at"], "period-began", contract_id, "contract.json", period_index=row["period_index"])


def of_record(name: str, row: dict[str, Any]) -> Iterator[Moment]:
    for column, what in _OF_RECORDS[name].items():
        if (at := row[column]) is not None:
            yield _moment(at, what, row["id"], name)


def of_incident(incident: Incident) -> Iterator[Moment]:
    instants = {
        "incident-happened": incident.happened_at,
        "incident-reported": incident.reported_at,
        "cause-determined": incident.determined_at,
        "incident-decided": incident.decided_at,
        "incident-appealed": incident.appealed_at,
        "appeal-decided": incident.concluded_at,
    }
    for what, at in instants.items():
        if at is not None:
            yield _moment(at.isoformat(), what, str(incident.id), "incidents.json")
    for attempt in incident.attempts:
        yield _moment(
            attempt.attempted_at.isoformat(), "recovery-attempted", str(incident.id), "incidents.json",
            outcome=attempt.outcome.value,
        )  # fmt: skip


def of_decision(row: dict[str, Any]) -> Iterator[Moment]:
    yield _moment(
        row["decided_at"], "decided", row["subject_id"], "decisions.json",
        kind=row["kind"], verdict=row["verdict"], clause=row["clause"], agreement_version=row["agreement_version"],
    )  # fmt: skip


def of_fact(fact: EvidenceFact, shown_in: str) -> Moment:
    return _moment(fact.at.isoformat(), fact.kind, str(fact.subject_id), shown_in, event_id=str(fact.id))


def shown_fact(fact: EvidenceFact) -> dict[str, Any]:
    return {
        "id": str(fact.id),
        "at": fact.at.isoformat(),
        "kind": fact.kind,
        "source": fact.source,
        "subject_id": str(fact.subject_id),
        "server_id": fact.server_id and str(fact.server_id),
        "epoch": fact.epoch,
        "seq": fact.seq,
        "facts": fact.facts,
    }


def _moment(at: str, what: str, subject_id: str, shown_in: str, **more: Any) -> Moment:
    return {"at": at, "what": what, "subject_id": subject_id, "shown_in": shown_in, **more}
