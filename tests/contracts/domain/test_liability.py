"""Every cause × every combination of facts on record: who answers, by which clause, or why nothing can be decided."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import pytest

from services.contracts.db.agreements import published
from services.contracts.domain.judgements import judgements
from services.contracts.domain.liability import (
    Cause,
    CauseUndetermined,
    FactsMissing,
    RecoveryNotTried,
    deciding,
    deciding_appeal,
)
from shared.kernel.errors import Refusal
from shared.kernel.judgement import Verdict
from tests.support.judging import Judged

PARAMETERS = published().version("2026-1").parameters.shown()
SHOWN = {"kind": "system-log", "sha256": "a" * 64, "found_at": "2030-02-01T00:00:00+00:00"}
SERVED = {"period_index": 1, "served": True, "ended_at": None, "end_reason": None}
UNPAID = {"period_index": 1, "served": False, "ended_at": "2030-02-01T00:00:00+00:00", "end_reason": "not-renewed"}

FINDINGS = {"no finding": [], "a finding": [SHOWN]}
WORK = {
    "no work": None,
    "work at another time": {"in_progress": False},
    "work in progress": {"in_progress": True},
}
CONDITIONS = {"nothing declared": None, "declared unmet before": {"unmet": ["free-disk"]}}
DISCLOSURE = {"no disclosure": None, "a disclosure": SHOWN}
SERVICE = {
    "served": SERVED,
    "ended unpaid": UNPAID,
    "ended with a rejected payment": {**UNPAID, "end_reason": "payment-not-approved"},
    "stopped": {**UNPAID, "end_reason": "stopped-by-customer"},
}
LOSS = {
    "nothing lost": (False, 0, False),
    "lost, nothing tried": (True, 0, False),
    "lost, tried in vain": (True, 1, False),
    "lost and recovered": (True, 2, True),
}
CASES = list(product([None, *Cause], FINDINGS, WORK, CONDITIONS, DISCLOSURE, SERVICE, LOSS))


def facts_of(
    cause: Cause | None, findings: str, work: str, conditions: str, disclosure: str, service: str, loss: str
) -> dict[str, Any]:
    lost, attempts, recovered = LOSS[loss]
    return {
        "agreement_version": "2026-1",
        "cause": cause and cause.value,
        "findings": FINDINGS[findings],
        "work": WORK[work],
        "conditions": CONDITIONS[conditions],
        "disclosure": DISCLOSURE[disclosure],
        "service": SERVICE[service],
        "data_lost": lost,
        "recovery": {"attempts": attempts, "recovered": recovered},
    }


def expected(
    cause: Cause | None, findings: str, work: str, conditions: str, disclosure: str, service: str, loss: str
) -> tuple[str, str | None]:
    """(verdict or refusal, clause), written down cause by cause as the agreement has it."""
    match cause:
        case None:
            return "CauseUndetermined", None
        case Cause.COMPANY_DEFECT:
            return ("company", "6.2") if findings == "a finding" else ("FactsMissing", "6.2")
        case Cause.CRASH_DURING_MAINTENANCE | Cause.DISK_DAMAGE_DURING_MAINTENANCE:
            if work != "work in progress":
                return "FactsMissing", "2.1"
            return {
                "nothing lost": ("no-loss", "2.1"),
                "lost, nothing tried": ("RecoveryNotTried", "2.1"),
                "lost, tried in vain": ("exempt", "2.1"),
                "lost and recovered": ("no-loss", "2.1"),
            }[loss]
        case Cause.CONDITIONS_UNMET:
            return ("exempt", "2.4") if conditions == "declared unmet before" else ("FactsMissing", "2.4")
        case Cause.THIRD_PARTY | Cause.CUSTOMER_MISOPERATION:
            return ("customer", "5.1") if findings == "a finding" else ("FactsMissing", "5.1")
        case Cause.CUSTOMER_DISCLOSURE:
            return ("customer", "5.1") if disclosure == "a disclosure" else ("FactsMissing", "5.1")
        case Cause.EXPIRED_UNPAID:
            unpaid = service in {"ended unpaid", "ended with a rejected payment"}
            return ("exempt", "3.4") if unpaid else ("FactsMissing", "3.4")


def outcome(facts: dict[str, Any], parameters: dict[str, Any]) -> tuple[str, str | None]:
    try:
        verdict = deciding.judge(facts, parameters).verdict
    except Refusal as refusal:
        return refusal.code(), refusal.cited_clause
    return verdict.word, verdict.clause


def test_the_whole_table_of_causes_and_facts() -> None:
    wrong = [(case, found) for case in CASES if (found := outcome(facts_of(*case), PARAMETERS)) != expected(*case)]
    assert not wrong, wrong[:5]
    assert len(CASES) == 9 * 2 * 3 * 2 * 2 * 4 * 4
    reached = Counter(expected(*case)[0] for case in CASES)
    assert set(reached) == {
        "company", "customer", "exempt", "no-loss", "CauseUndetermined", "FactsMissing", "RecoveryNotTried"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("minimum", "attempts", "word"), [(0, 0, "exempt"), (1, 0, None), (3, 2, None), (3, 3, "exempt")]
)
def test_how_often_recovery_is_tried_before_a_loss_is_exempt_is_the_versions_number(
    minimum: int, attempts: int, word: str | None
) -> None:
    facts = facts_of(
        Cause.CRASH_DURING_MAINTENANCE, "no finding", "work in progress", "nothing declared", "no disclosure", "served",
        "lost, tried in vain",
    )  # fmt: skip
    facts["recovery"] = {"attempts": attempts, "recovered": False}
    parameters = {**PARAMETERS, "minimum_recovery_attempts": minimum}
    if word is None:
        with pytest.raises(RecoveryNotTried) as refused:
            deciding.judge(facts, parameters)
        assert refused.value.facts == {"attempts": attempts, "minimum_recovery_attempts": minimum}
        return
    judged = deciding.judge(facts, parameters)
    assert judged.verdict == Verdict(word, "2.1")
    assert judged.parameters == {"minimum_recovery_attempts": minimum}


def test_what_is_missing_is_named() -> None:
    facts = facts_of(
        Cause.THIRD_PARTY, "no finding", "no work", "nothing declared", "no disclosure", "served", "nothing lost"
    )
    with pytest.raises(FactsMissing) as refused:
        deciding.judge(facts, PARAMETERS)
    assert refused.value.facts == {"cause": "third-party", "missing": ["findings"]}


@pytest.mark.parametrize(
    ("first", "word"),
    [
        ({"liability": "customer", "clause": "5.1"}, "upheld"),
        ({"liability": "company", "clause": "6.2"}, "changed"),
        ({"liability": "exempt", "clause": "2.4"}, "changed"),
    ],
)
def test_an_appeal_is_judged_by_the_same_rule_beside_the_first_verdict(first: dict[str, str], word: str) -> None:
    case = (Cause.THIRD_PARTY, "a finding", "no work", "nothing declared", "no disclosure", "served", "nothing lost")
    judged = deciding_appeal.judge({**facts_of(*case), "first": first}, PARAMETERS)
    assert judged.verdict == Verdict(word, "5.1")


def test_an_appeal_decides_no_undetermined_cause_either() -> None:
    case = (None, "a finding", "no work", "nothing declared", "no disclosure", "served", "nothing lost")
    facts = {**facts_of(*case), "first": {"liability": "customer", "clause": "5.1"}}
    with pytest.raises(CauseUndetermined):
        deciding_appeal.judge(facts, PARAMETERS)


PROVEN = {
    Cause.COMPANY_DEFECT: ("company", "6.2"),
    Cause.CRASH_DURING_MAINTENANCE: ("exempt", "2.1"),
    Cause.DISK_DAMAGE_DURING_MAINTENANCE: ("exempt", "2.1"),
    Cause.CONDITIONS_UNMET: ("exempt", "2.4"),
    Cause.THIRD_PARTY: ("customer", "5.1"),
    Cause.CUSTOMER_MISOPERATION: ("customer", "5.1"),
    Cause.CUSTOMER_DISCLOSURE: ("customer", "5.1"),
    Cause.EXPIRED_UNPAID: ("exempt", "3.4"),
}
"""With everything on record that any cause could rest on."""


def everything_on_record(cause: Cause) -> dict[str, Any]:
    return facts_of(
        cause, "a finding", "work in progress", "declared unmet before", "a disclosure", "ended unpaid",
        "lost, tried in vain",
    )  # fmt: skip


JUDGED = [
    *(Judged(deciding, *PROVEN[cause], everything_on_record(cause), PARAMETERS) for cause in Cause),
    Judged(deciding, "CauseUndetermined", None, {**everything_on_record(Cause.THIRD_PARTY), "cause": None}, PARAMETERS),
    *(
        Judged(
            deciding_appeal,
            "upheld" if PROVEN[cause] == ("exempt", "2.1") else "changed",
            PROVEN[cause][1],
            {**everything_on_record(cause), "first": {"liability": "exempt", "clause": "2.1"}},
            PARAMETERS,
        )
        for cause in Cause
    ),
]


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_verdict_follows_from_the_facts(example: Judged) -> None:
    example.insist(judgements)
