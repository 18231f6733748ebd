"""An incident's lifecycle, every state × verb, and what its own data may not be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.contracts.domain.condition_declaration import (
    DECLARATION_LIFECYCLE,
    Condition,
    ConditionDeclaration,
    DeclarationStatus,
)
from services.contracts.domain.incident import (
    APPEALED,
    CONCLUDED,
    DECIDED,
    INCIDENT_LIFECYCLE,
    REPORTED,
    AlreadyAppealed,
    AttemptOutcome,
    Determination,
    Finding,
    FindingKind,
    FoundInTheFuture,
    Incident,
    IncidentStatus,
    OutsideTheIncident,
    OwnDecision,
    RecoveryAttempt,
    WorkMissing,
)
from services.contracts.domain.liability import DURING_MAINTENANCE, Cause, Liability
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id

THEN = datetime(2030, 2, 1, tzinfo=UTC)
NOW = THEN + timedelta(hours=5)
HOUR = timedelta(hours=1)
FOUND = Determination(cause=Cause.COMPANY_DEFECT, data_lost=True)


def an_incident() -> Incident:
    return Incident(
        id=new_id(),
        contract_id=new_id(),
        customer_id=new_id(),
        server_id=new_id(),
        period_index=1,
        agreement_version="2026-1",
        happened_at=THEN,
        seen="The shop answers nobody.",
        channel="portal",
        reported_at=THEN + HOUR,
        reported_by="ada",
    )


def an_attempt(incident: Incident, *, at: datetime = THEN + HOUR, outcome: str = "failed") -> RecoveryAttempt:
    return RecoveryAttempt(
        id=new_id(),
        incident_id=incident.id,
        method="restore",
        outcome=AttemptOutcome(outcome),
        attempted_at=at,
        recorded_at=NOW,
        recorded_by="tim",
    )


VERBS: dict[str, Callable[[Incident], None]] = {
    "determine": lambda incident: incident.determine(FOUND, by="tim", now=NOW),
    "record": lambda incident: incident.record(an_attempt(incident), now=NOW),
    "decide": lambda incident: incident.decide(Liability.COMPANY, "6.2", by="dora", now=NOW),
    "appeal": lambda incident: incident.appeal("It was not so.", by="ada", now=NOW),
    "conclude": lambda incident: incident.conclude(Liability.COMPANY, "6.2", by="emil", now=NOW),
}
WAY = {REPORTED: [], DECIDED: ["decide"], APPEALED: ["decide", "appeal"], CONCLUDED: ["decide", "appeal", "conclude"]}
TABLE = {
    (REPORTED, "determine"): REPORTED,
    (REPORTED, "record"): REPORTED,
    (REPORTED, "decide"): DECIDED,
    (DECIDED, "appeal"): APPEALED,
    (APPEALED, "record"): APPEALED,
    (APPEALED, "conclude"): CONCLUDED,
}


@pytest.mark.parametrize("status", IncidentStatus)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_in_every_state(status: IncidentStatus, verb: str) -> None:
    assert sorted(VERBS) == INCIDENT_LIFECYCLE.verbs
    incident = an_incident()
    for step in WAY[status]:
        VERBS[step](incident)
    assert incident.status is status
    after = TABLE.get((status, verb))
    if after is None:
        with pytest.raises((IllegalMove, AlreadyAppealed)):
            VERBS[verb](incident)
        assert incident.status is status
        return
    VERBS[verb](incident)
    assert incident.status is after


def test_a_second_appeal_is_told_when_the_first_one_was_made() -> None:
    incident = an_incident()
    for step in WAY[CONCLUDED]:
        VERBS[step](incident)
    with pytest.raises(AlreadyAppealed) as refused:
        incident.appeal("And yet.", by="ada", now=NOW + HOUR)
    assert refused.value.facts == {"appealed_at": NOW.isoformat()}


def test_nobody_decides_an_appeal_against_their_own_decision() -> None:
    incident = an_incident()
    for step in WAY[APPEALED]:
        VERBS[step](incident)
    with pytest.raises(OwnDecision):
        incident.conclude(Liability.EXEMPT, "2.1", by="dora", now=NOW)
    with pytest.raises(OwnDecision):
        incident.reconsider(FOUND, by="dora", now=NOW)
    assert (incident.status, incident.liability) == (APPEALED, Liability.COMPANY)


@pytest.mark.parametrize(
    ("at", "allowed"), [(THEN - HOUR, False), (THEN, True), (NOW, True), (NOW + timedelta(microseconds=1), False)]
)
def test_recovery_is_tried_after_the_incident_and_before_it_is_recorded(at: datetime, allowed: bool) -> None:
    incident = an_incident()
    if allowed:
        incident.record(an_attempt(incident, at=at), now=NOW)
    else:
        with pytest.raises(OutsideTheIncident):
            incident.record(an_attempt(incident, at=at), now=NOW)
    assert len(incident.attempts) == allowed


def test_data_is_recovered_once_an_attempt_brought_all_of_it_back() -> None:
    incident = an_incident()
    for outcome, recovered in [("failed", False), ("partly-recovered", False), ("recovered", True), ("failed", True)]:
        incident.record(an_attempt(incident, outcome=outcome), now=NOW)
        assert incident.recovered is recovered


@pytest.mark.parametrize("cause", [None, *Cause])
@pytest.mark.parametrize("names_work", [True, False])
def test_work_is_named_with_what_happened_during_maintenance_and_with_nothing_else(
    cause: Cause | None, names_work: bool
) -> None:
    work = new_id() if names_work else None
    if names_work == (cause in DURING_MAINTENANCE):
        assert Determination(cause=cause, data_lost=True, work_request_id=work).work_request_id == work
    else:
        with pytest.raises(WorkMissing):
            Determination(cause=cause, data_lost=True, work_request_id=work)


def test_nothing_is_found_before_it_is_looked_for() -> None:
    finding = Finding(kind=FindingKind.INSPECTION, sha256="a" * 64, found_at=NOW)
    later = replace(finding, found_at=NOW + timedelta(microseconds=1))
    incident = an_incident()
    with pytest.raises(FoundInTheFuture) as refused:
        incident.determine(replace(FOUND, findings=(finding, later)), by="tim", now=NOW)
    assert (refused.value.field, incident.determination.cause) == ("findings.1.found_at", None)
    incident.determine(replace(FOUND, findings=(finding,)), by="tim", now=NOW)
    assert incident.determination.findings == (finding,)


def test_a_declaration_is_lifted_once() -> None:
    declaration = ConditionDeclaration(
        id=new_id(),
        contract_id=new_id(),
        customer_id=new_id(),
        server_id=new_id(),
        agreement_version="2026-1",
        unmet=(Condition.FREE_DISK,),
        declared_at=THEN,
        declared_by="tim",
    )
    assert DECLARATION_LIFECYCLE.verbs == ["lift"]
    declaration.lift(by="tim", now=NOW)
    assert (declaration.status, declaration.lifted_at) == (DeclarationStatus.LIFTED, NOW)
    with pytest.raises(IllegalMove):
        declaration.lift(by="tim", now=NOW)
