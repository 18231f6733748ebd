"""Every state × verb of a work request, and when it may be decided how."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.domain import work_rules
from services.contracts.domain.agreement import Risk
from services.contracts.domain.booking import Place, Slot, WindowImpossible
from services.contracts.domain.risk import Evidence, Hazard, Lowering, RiskAssessment, risk_of
from services.contracts.domain.work_request import (
    MOST_STEPS,
    WORK_LIFECYCLE,
    Acknowledgement,
    NotTheTechnician,
    Origin,
    OutsideTheWindow,
    TooManySteps,
    WorkRequest,
    WorkStatus,
)
from services.contracts.domain.work_rules import NoFreshBackup, NotAcknowledged, NothingToRefuse
from shared.kernel.errors import IllegalMove, Refusal
from shared.kernel.ids import new_id
from shared.kernel.judgement import Judgement

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
SLOT = Slot(starts_at=NOW - HOUR, ends_at=NOW + HOUR, place=Place.REMOTE, technician="eve")
S = WorkStatus
TABLE = {
    "assess": {S.REQUESTED: S.ASSESSED, S.ASSESSED: S.ASSESSED},
    "acknowledge": {S.ASSESSED: S.ASSESSED, S.ACCEPTED: S.ACCEPTED, S.SCHEDULED: S.SCHEDULED},
    "accept": {S.ASSESSED: S.ACCEPTED},
    "refuse": {S.ASSESSED: S.REFUSED},
    "withdraw": dict.fromkeys([S.REQUESTED, S.ASSESSED, S.ACCEPTED, S.SCHEDULED], S.WITHDRAWN),
    "schedule": {S.ACCEPTED: S.SCHEDULED},
    "reschedule": {S.SCHEDULED: S.SCHEDULED},
    "start": {S.SCHEDULED: S.IN_PROGRESS},
    "log": {S.IN_PROGRESS: S.IN_PROGRESS},
    "complete": {S.IN_PROGRESS: S.COMPLETED},
    "fail": {S.IN_PROGRESS: S.FAILED},
    "sign_off": {S.COMPLETED: S.SIGNED_OFF},
}
KERNEL = Hazard(
    likelihood=3,
    impact=4,
    lowered_by=(
        Lowering(evidence=Evidence.VERIFIED_BACKUP, younger_than_hours=24, impact=1),
        Lowering(evidence=Evidence.REHEARSAL, younger_than_hours=48, likelihood=1),
    ),
)


def a_work_request(status: WorkStatus = S.REQUESTED, **changes: Any) -> WorkRequest:
    values: dict[str, Any] = {
        "id": new_id(),
        "contract_id": new_id(),
        "customer_id": new_id(),
        "server_id": new_id(),
        "operation_code": "kernel-upgrade",
        "risk": Risk.HIGH,
        "agreement_version": "2026-1",
        "note": None,
        "requested_at": NOW,
        "slot": SLOT,
    }
    return WorkRequest(**{**values, **changes}, status=status)


def an_assessment(work: WorkRequest, risk: Risk = Risk.HIGH) -> RiskAssessment:
    return RiskAssessment(
        id=new_id(),
        work_request_id=work.id,
        hazard=KERNEL,
        backup_completed_at=None,
        rehearsed_at=None,
        risk=risk,
        assessed_by="eve",
        assessed_at=NOW,
    )


def an_acknowledgement(work: WorkRequest) -> Acknowledgement:
    return Acknowledgement(
        id=new_id(),
        work_request_id=work.id,
        assessment_id=new_id(),
        language="en",
        text_sha256="0" * 64,
        text="I know this.",
        acknowledged_by="somebody",
        address="192.0.2.1",
        channel="portal",
        acknowledged_at=NOW,
    )


def do(work: WorkRequest, verb: str) -> None:
    moves: dict[str, Callable[[], object]] = {
        "assess": lambda: work.assess(an_assessment(work)),
        "acknowledge": lambda: work.acknowledge(an_acknowledgement(work)),
        "accept": lambda: work.accept(by="eve", now=NOW),
        "refuse": lambda: work.refuse(reason="too risky", by="eve", now=NOW),
        "withdraw": lambda: work.withdraw(by="somebody", now=NOW),
        "schedule": lambda: work.schedule(SLOT, now=NOW),
        "reschedule": lambda: work.reschedule(SLOT, now=NOW),
        "start": lambda: work.start(by="eve", now=NOW),
        "log": lambda: work.log("Saved the configuration.", by="eve", now=NOW),
        "complete": lambda: work.complete(by="eve", now=NOW),
        "fail": lambda: work.fail(reason="no space left", by="eve", now=NOW),
        "sign_off": lambda: work.sign_off(NOW),
    }
    moves[verb]()


@pytest.mark.parametrize("status", WorkStatus)
@pytest.mark.parametrize("verb", WORK_LIFECYCLE.verbs)
def test_each_verb_leads_from_its_states_only(verb: str, status: WorkStatus) -> None:
    work = a_work_request(status)
    if (after := TABLE[verb].get(status)) is not None:
        do(work, verb)
        assert work.status is after
    else:
        with pytest.raises(IllegalMove) as refused:
            do(work, verb)
        assert refused.value.facts["state"] == str(status)
        assert work.status is status


@pytest.mark.parametrize("verb", ["start", "log", "complete", "fail"])
def test_only_its_technician_does_the_work(verb: str) -> None:
    work = a_work_request(next(iter(TABLE[verb])), slot=Slot(**{**vars(SLOT), "technician": "tom"}))
    before = work.status
    with pytest.raises(NotTheTechnician):
        do(work, verb)
    assert work.status is before


@pytest.mark.parametrize(
    ("after_the_start", "starts"),
    [(-MOMENT, False), (timedelta(), True), (2 * HOUR - MOMENT, True), (2 * HOUR, False)],
)
def test_work_starts_within_its_window(after_the_start: timedelta, starts: bool) -> None:
    work = a_work_request(S.SCHEDULED)
    if starts:
        work.start(by="eve", now=SLOT.starts_at + after_the_start)
        assert work.started_at == SLOT.starts_at + after_the_start
    else:
        with pytest.raises(OutsideTheWindow) as refused:
            work.start(by="eve", now=SLOT.starts_at + after_the_start)
        assert refused.value.cited_clause == "1.2"


def test_another_assessment_asks_for_another_signature() -> None:
    work = a_work_request(S.ASSESSED)
    do(work, "acknowledge")
    assert work.is_acknowledged
    do(work, "assess")
    assert not work.is_acknowledged


def test_steps_are_counted_and_bounded() -> None:
    work = a_work_request(S.IN_PROGRESS, steps=MOST_STEPS - 1)
    assert work.log("The last one.", by="eve", now=NOW).step_index == MOST_STEPS
    with pytest.raises(TooManySteps):
        work.log("One too many.", by="eve", now=NOW)


def test_warranty_work_is_the_same_work_again() -> None:
    work = a_work_request(S.COMPLETED)
    again = WorkRequest.under_warranty(work, id=new_id(), note=None, now=NOW + HOUR)
    assert (again.origin, again.warranty_of, again.status) == (Origin.WARRANTY, work.id, S.REQUESTED)
    assert (again.contract_id, again.server_id, again.operation_code, again.agreement_version) == (
        work.contract_id,
        work.server_id,
        work.operation_code,
        work.agreement_version,
    )
    assert again.slot is None


@pytest.mark.parametrize(
    ("starts", "ends", "field"),
    [
        (HOUR, HOUR, "ends_at"),
        (2 * HOUR, HOUR, "ends_at"),
        (-2 * HOUR, -HOUR, "ends_at"),
        (-HOUR, timedelta(), "ends_at"),
        (HOUR, 25 * HOUR + MOMENT, "ends_at"),
        (timedelta(days=401), timedelta(days=401) + HOUR, "starts_at"),
    ],
)
def test_an_impossible_window_is_refused(starts: timedelta, ends: timedelta, field: str) -> None:
    work = a_work_request(S.ACCEPTED, slot=None)
    with pytest.raises(WindowImpossible) as refused:
        work.schedule(Slot(**{**vars(SLOT), "starts_at": NOW + starts, "ends_at": NOW + ends}), now=NOW)
    assert (refused.value.field, refused.value.cited_clause) == (field, "1.2")
    assert (work.status, work.slot) == (S.ACCEPTED, None)


@pytest.mark.parametrize(
    ("backup_age", "rehearsal_age", "risk"),
    [
        (None, None, Risk.HIGH),
        (24 * HOUR, None, Risk.HIGH),
        (24 * HOUR - MOMENT, None, Risk.MEDIUM),
        (None, 47 * HOUR, Risk.MEDIUM),
        (None, 48 * HOUR, Risk.HIGH),
        (HOUR, HOUR, Risk.MEDIUM),
    ],
)
def test_fresh_evidence_lowers_the_risk(
    backup_age: timedelta | None, rehearsal_age: timedelta | None, risk: Risk
) -> None:
    ages = {Evidence.VERIFIED_BACKUP: backup_age, Evidence.REHEARSAL: rehearsal_age}
    seen = {evidence: NOW - age for evidence, age in ages.items() if age is not None}
    assert KERNEL.risk(seen, NOW) is risk
    assert Hazard.of_shown(KERNEL.shown()) == KERNEL


def test_evidence_never_raises_a_risk_nor_takes_it_below_the_least() -> None:
    lowered_by = (Lowering(evidence=Evidence.REHEARSAL, younger_than_hours=1, likelihood=4, impact=4),)
    for likelihood in range(1, 6):
        for impact in range(1, 6):
            hazard = Hazard(likelihood=likelihood, impact=impact, lowered_by=lowered_by)
            least, lowest = hazard.lowered({Evidence.REHEARSAL: NOW}, NOW)
            assert 1 <= least <= likelihood
            assert 1 <= lowest <= impact
            assert hazard.risk({Evidence.REHEARSAL: NOW}, NOW) <= risk_of(likelihood, impact)


PARAMETERS = {
    "refuse_at_or_above": "high",
    "fresh_backup_hours": 24,
    "signed_off_after_days": 7,
    "written_channels": ["portal"],
}


def facts(
    found: WorkStatus = S.ASSESSED,
    *,
    backup_age: timedelta | None = None,
    acknowledged: bool = False,
    impact: int = 5,
) -> dict[str, Any]:
    """Of an operation that no evidence makes less dangerous."""
    return {
        "agreement_version": "2026-1",
        "at": NOW.isoformat(),
        "hazard": Hazard(likelihood=4, impact=impact).shown(),
        "evidence": {} if backup_age is None else {"verified-backup": (NOW - backup_age).isoformat()},
        "acknowledged": acknowledged,
        "software_undeclared": 0,
        "conditions": {},
        "declared_unmet": [],
        "found": found.value,
    }


@pytest.mark.parametrize(
    ("judgement", "found"),
    [(work_rules.accepting, S.ASSESSED), (work_rules.starting, S.SCHEDULED)],
    ids=["accept", "start"],
)
@pytest.mark.parametrize(
    ("acknowledged", "backup_age", "impact", "refusal"),
    [
        (False, None, 5, NotAcknowledged),
        (False, HOUR, 5, NotAcknowledged),
        (True, None, 5, NoFreshBackup),
        (True, 24 * HOUR, 5, NoFreshBackup),
        (True, 24 * HOUR - MOMENT, 5, None),
        (False, None, 2, None),
    ],
)
def test_high_risk_asks_for_a_signature_and_a_fresh_backup(
    judgement: Judgement,
    found: WorkStatus,
    acknowledged: bool,
    backup_age: timedelta | None,
    impact: int,
    refusal: type[Refusal] | None,
) -> None:
    given = facts(found, acknowledged=acknowledged, backup_age=backup_age, impact=impact)
    if refusal is None:
        assert judgement.judge(given, PARAMETERS).verdict.clause == "1.1"
    else:
        with pytest.raises(refusal) as refused:
            judgement.judge(given, PARAMETERS)
        assert (refused.value.cited_clause, refused.value.agreement_version) == ("1.1", "2026-1")


@pytest.mark.parametrize("threshold", Risk)
@pytest.mark.parametrize(("impact", "risk"), [(1, Risk.LOW), (2, Risk.MEDIUM), (5, Risk.HIGH)])
def test_work_may_be_refused_from_the_threshold_up(impact: int, risk: Risk, threshold: Risk) -> None:
    parameters = {**PARAMETERS, "refuse_at_or_above": threshold.word}
    if risk >= threshold:
        assert work_rules.refusing.judge(facts(impact=impact), parameters).verdict.word == "refused"
    else:
        with pytest.raises(NothingToRefuse) as refused:
            work_rules.refusing.judge(facts(impact=impact), parameters)
        assert refused.value.cited_clause == "1.1"


@pytest.mark.parametrize(("days", "signed"), [(6.999, False), (7, True), (400, True)])
def test_nothing_is_signed_off_by_time_before_the_time_to_object_is_over(days: float, signed: bool) -> None:
    given = {
        "by_customer": False,
        "completed_at": (NOW - timedelta(days=days)).isoformat(),
        "at": NOW.isoformat(),
        "found": "completed",
    }
    verdict = work_rules.signing_off.judge(given, PARAMETERS).verdict
    assert verdict.word == ("signed_off" if signed else "refused")
    assert verdict.clause == "1.2"
