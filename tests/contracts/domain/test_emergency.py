"""The life of an emergency, state by verb, and the agreement's minutes to the instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.contracts.domain import emergency as rules
from services.contracts.domain.emergency import (
    ACKNOWLEDGED,
    EMERGENCY_LIFECYCLE,
    OPEN,
    RESOLVED,
    WITHDRAWN,
    Emergency,
    EmergencyStatus,
    Outcome,
    WorkNotNamed,
)
from services.contracts.domain.judgements import judgements
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id
from tests.support.judging import Judged

AT = datetime(2030, 2, 1, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MOVES: dict[tuple[str, EmergencyStatus], EmergencyStatus] = {
    ("escalate", OPEN): OPEN,
    ("acknowledge", OPEN): ACKNOWLEDGED,
    ("resolve", ACKNOWLEDGED): RESOLVED,
    ("withdraw", OPEN): WITHDRAWN,
    ("withdraw", ACKNOWLEDGED): WITHDRAWN,
}
PARAMETERS = {
    "acknowledge_within_minutes": 15,
    "escalate_every_minutes": 10,
    "written_channels": ["portal", "api", "email"],
}
REPORT = {"server_id": str(UUID(int=1)), "served": True, "channel": "portal", "at": AT.isoformat()}


def waited(minutes: float, *, since: str) -> dict[str, str]:
    return {since: AT.isoformat(), "at": (AT + minutes * MINUTE).isoformat()}


JUDGED = [
    Judged(rules.reporting, "taken", "1.3", REPORT, PARAMETERS),
    Judged(rules.reporting, "refused", "3.4", REPORT | {"served": False}, PARAMETERS),
    Judged(rules.reporting, "refused", "3.1", REPORT | {"channel": "telephone"}, PARAMETERS),
    Judged(rules.escalating, "passed-on", "1.3", waited(10, since="passed_on_at"), PARAMETERS),
    Judged(rules.escalating, "waits", "1.3", waited(9.999, since="passed_on_at"), PARAMETERS),
    Judged(
        rules.escalating,
        "waits",
        "1.3",
        waited(10, since="passed_on_at"),
        PARAMETERS | {"escalate_every_minutes": 20},
    ),
    Judged(rules.acknowledging, "in-time", "1.3", waited(15, since="reported_at"), PARAMETERS),
    Judged(rules.acknowledging, "late", "1.3", waited(15.001, since="reported_at"), PARAMETERS),
    Judged(
        rules.acknowledging,
        "in-time",
        "1.3",
        waited(29, since="reported_at"),
        PARAMETERS | {"acknowledge_within_minutes": 30},
    ),
]


def an_emergency(status: EmergencyStatus = OPEN) -> Emergency:
    return Emergency(
        id=new_id(),
        contract_id=new_id(),
        customer_id=new_id(),
        server_id=new_id(),
        period_index=1,
        agreement_version="2026-1",
        seen="It burns.",
        channel="portal",
        reported_at=AT,
        reported_by="ada",
        acknowledge_by=AT + 15 * MINUTE,
        status=status,
    )


@pytest.mark.parametrize("status", EmergencyStatus)
@pytest.mark.parametrize("verb", EMERGENCY_LIFECYCLE.verbs)
def test_an_emergency_moves_as_its_table_says_and_not_otherwise(verb: str, status: EmergencyStatus) -> None:
    if (verb, status) in MOVES:
        assert EMERGENCY_LIFECYCLE.after(verb, status) is MOVES[verb, status]
    else:
        with pytest.raises(IllegalMove):
            EMERGENCY_LIFECYCLE.after(verb, status)


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_minutes_are_those_of_the_agreement(example: Judged) -> None:
    example.insist(judgements)


def test_it_is_passed_on_from_the_last_call_on() -> None:
    emergency = an_emergency()
    assert emergency.passed_on_at == AT
    emergency.escalate(AT + 10 * MINUTE)
    assert (emergency.passed_on_at, emergency.escalations) == (AT + 10 * MINUTE, 1)


@pytest.mark.parametrize("outcome", Outcome)
def test_work_is_named_with_the_outcome_that_says_so_and_no_other(outcome: Outcome) -> None:
    for work in (None, new_id()):
        emergency = an_emergency(ACKNOWLEDGED)
        if (work is not None) == (outcome is Outcome.WORK_REQUESTED):
            emergency.resolve(outcome, "Done.", work, by="eve", now=AT)
            assert (emergency.status, emergency.ended_by, emergency.ended_at) == (RESOLVED, "eve", AT)
        else:
            with pytest.raises(WorkNotNamed):
                emergency.resolve(outcome, "Done.", work, by="eve", now=AT)
