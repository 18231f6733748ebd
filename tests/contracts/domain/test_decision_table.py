"""The decision table, cell by cell: every matter at every moment, and what the further facts change."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.contracts.domain.decision_table import CLAUSES, Facts, Matter, Moment, rule
from services.contracts.domain.period import Choice

AT = datetime(2030, 2, 10, 12, tzinfo=UTC)
M = Moment
MOMENTS = [
    M.DRAFT, M.AWAITING_PAYMENT, M.WITHDRAWN, M.BEFORE_WINDOW, M.IN_WINDOW, M.EXTENDED, M.HELD, M.ENDED,
]  # fmt: skip
NO, LATE, DONE = "NotRegistered", "AfterTheEnd", "AlreadyDecided"
EXPLAIN, WAS, PAID, OUT, BACK = (
    "ExplainedTooLate",
    "AlreadyExplained",
    "NothingToExtend",
    "NothingToWithdraw",
    "AlreadyRefunded",
)
YES, STANDING = "", "standing"
NOTHING: dict[str, object] = {}
RENEWING = {"choice": Choice.RENEW, "chosen_at": AT}
STOPPING = {"choice": Choice.STOP, "chosen_at": AT}
EXPECTED: list[tuple[Matter, dict[str, object], list[str]]] = [
    (Matter.RENEW, NOTHING, [NO, NO, NO, STANDING, YES, YES, LATE, LATE]),
    (Matter.RENEW, RENEWING, [NO, NO, NO, DONE, DONE, DONE, LATE, LATE]),
    (Matter.RENEW, STOPPING, [NO, NO, NO, STANDING, DONE, DONE, LATE, LATE]),
    (Matter.STOP, NOTHING, [NO, NO, NO, STANDING, YES, YES, LATE, LATE]),
    (Matter.STOP, RENEWING, [NO, NO, NO, STANDING, DONE, DONE, LATE, LATE]),
    (Matter.STOP, STOPPING, [NO, NO, NO, DONE, DONE, DONE, LATE, LATE]),
    (Matter.EXTEND, NOTHING, [NO, NO, NO, YES, YES, EXPLAIN, EXPLAIN, EXPLAIN]),
    (Matter.EXTEND, RENEWING, [NO, NO, NO, YES, YES, EXPLAIN, EXPLAIN, EXPLAIN]),
    (Matter.EXTEND, STOPPING, [NO, NO, NO, DONE, DONE, EXPLAIN, EXPLAIN, EXPLAIN]),
    (Matter.EXTEND, {"explained_at": AT}, [NO, NO, NO, WAS, WAS, EXPLAIN, EXPLAIN, EXPLAIN]),
    (Matter.EXTEND, {"next_is_paid": True}, [NO, NO, NO, PAID, PAID, EXPLAIN, EXPLAIN, EXPLAIN]),
    (Matter.WITHDRAW, NOTHING, [YES, YES, OUT, OUT, OUT, OUT, OUT, OUT]),
    (Matter.REFUND, NOTHING, [NO, NO, NO, YES, YES, YES, YES, YES]),
    (Matter.REFUND, {"refunded_at": AT}, [NO, NO, NO, BACK, BACK, BACK, BACK, BACK]),
]
CELLS = [
    pytest.param(matter, moment, more, expected, id=f"{matter}-{'-'.join(map(str, more)) or 'plain'}-{moment}")
    for matter, more, row in EXPECTED
    for moment, expected in zip(MOMENTS, row, strict=True)
]


def facts_at(moment: Moment, more: dict[str, object]) -> Facts:
    return replace(Facts(moment=moment, agreement_version="2026-1", ends_at=AT, closes_at=AT), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("matter", "moment", "more", "expected"), CELLS)
def test_each_cell_of_the_table_is_as_it_is_written(
    matter: Matter, moment: Moment, more: dict[str, object], expected: str
) -> None:
    ruling = rule(matter, facts_at(moment, more))
    if expected in {YES, STANDING}:
        assert (ruling.refusal, ruling.standing, ruling.clause) == (None, expected == STANDING, CLAUSES[matter])
        return
    assert ruling.refusal is not None
    assert ruling.refusal.code() == expected
    assert ruling.refusal.agreement_version == "2026-1"
    assert ruling.clause == ruling.refusal.cited_clause


def test_every_matter_and_moment_is_in_the_test() -> None:
    assert {matter for matter, _more, _row in EXPECTED} == set(Matter)
    assert set(MOMENTS) == set(Moment)


def test_the_loser_is_told_what_was_decided_and_when() -> None:
    refusal = rule(Matter.STOP, facts_at(M.IN_WINDOW, RENEWING)).refusal
    assert refusal is not None
    assert refusal.facts == {"decision": "renew", "decided_at": AT.isoformat()}
