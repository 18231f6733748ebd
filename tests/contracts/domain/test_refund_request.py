"""A request for a refund: every state × verb, and whether it is due, by facts and parameters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.db import agreements
from services.contracts.domain import service
from services.contracts.domain.judgements import judgements
from services.contracts.domain.refund_request import (
    REFUND_REQUEST_LIFECYCLE,
    Ground,
    RefundRequest,
    RefundStatus,
    requesting,
)
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id
from tests.support.judging import Judged

NOW = datetime(2030, 2, 14, 12, tzinfo=UTC)
PARAMETERS = agreements.parameters_of("2026-1")
FOURTEEN_DAYS = PARAMETERS | {"refund_window_days": 14}
ASKED: dict[str, Any] = {
    "agreement_version": "2026-1",
    "channel": "portal",
    "ground": "dissatisfied",
    "period_index": 2,
    "period_status": "paid",
    "never_begins": False,
    "starts_at": "2030-03-20T12:00:00+00:00",
    "zone": "Europe/Berlin",
    "asked_at": "2030-03-21T12:00:00+00:00",
    "asked_before": None,
    "incident": None,
}
INCIDENT = {
    "incident_id": "01a20700-0000-7000-8000-000000000000",
    "period_index": 2,
    "liability": "company",
    "clause": "6.2",
    "decided_at": "2030-04-20T12:00:00+00:00",
}
EXPIRED_BEFORE = {"ended_at": "2030-02-01T00:00:00+00:00", "was_ended": True}
DEFECT = ASKED | {"ground": "company-defect", "incident": INCIDENT}
# The clocks change on the 31st of March: fourteen days are never less than 336 hours.
LAST = {"asked_at": "2030-04-03T11:59:59.999999+00:00"}
OVER = {"asked_at": "2030-04-03T12:00:00+00:00"}
END = {
    "period_index": 1,
    "refund_id": "01a20700-0000-7000-8000-000000000000",
    "refunded_period_index": 1,
    "released_at": "2030-04-03T12:00:00+00:00",
    "ended_at": "2030-04-03T12:00:00+00:00",
    "was_ended": False,
}

JUDGED = [
    Judged(requesting, "accepted", "6.2", ASKED, PARAMETERS),
    Judged(requesting, "refused", "3.1", ASKED | {"channel": "telephone"}, PARAMETERS),
    Judged(requesting, "PeriodNotPaid", "6.2", ASKED | {"period_status": "awaiting_payment"}, PARAMETERS),
    Judged(requesting, "AlreadyRefunded", "6.2", ASKED | {"asked_before": ASKED["asked_at"]}, PARAMETERS),
    Judged(requesting, "PaymentIsCredit", "6.2", ASKED | {"never_begins": True}, PARAMETERS),
    Judged(requesting, "accepted", "6.2", ASKED | {"asked_at": "2039-01-01T00:00:00+00:00"}, PARAMETERS),
    Judged(requesting, "accepted", "6.2", ASKED | LAST, FOURTEEN_DAYS),
    Judged(requesting, "RefundWindowClosed", "6.2", ASKED | OVER, FOURTEEN_DAYS),
    Judged(requesting, "accepted", "6.2", DEFECT, PARAMETERS),
    Judged(requesting, "accepted", "6.2", DEFECT | {"asked_at": "2030-05-04T11:00:00+00:00"}, FOURTEEN_DAYS),
    Judged(
        requesting,
        "RefundWindowClosed",
        "6.2",
        DEFECT | {"asked_at": "2030-05-04T12:00:00+00:00"},
        FOURTEEN_DAYS,
    ),
    Judged(requesting, "NoCompanyDefect", "6.2", DEFECT | {"incident": INCIDENT | {"liability": "exempt"}}, PARAMETERS),
    Judged(requesting, "NoCompanyDefect", "6.2", DEFECT | {"incident": INCIDENT | {"liability": None}}, PARAMETERS),
    Judged(requesting, "NoCompanyDefect", "6.2", DEFECT | {"incident": INCIDENT | {"period_index": 1}}, PARAMETERS),
    Judged(service.refunding, "refunded", "6.2", END, PARAMETERS),
    Judged(service.refunding, "served", "6.2", END | {"ended_at": "2030-04-03T11:59:59+00:00"}, PARAMETERS),
    Judged(
        service.refunding,
        "refunded",
        "6.2",
        END | {"ended_at": "2030-02-01T00:00:00+00:00", "was_ended": True},
        PARAMETERS,
    ),
]


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_verdict_follows_from_the_facts(example: Judged) -> None:
    example.insist(judgements)


def a_request(status: RefundStatus) -> RefundRequest:
    return RefundRequest(
        id=new_id(),
        contract_id=new_id(),
        customer_id=new_id(),
        period_index=1,
        agreement_version="2026-1",
        ground=Ground.DISSATISFIED,
        incident_id=None,
        channel="portal",
        requested_by="ada",
        requested_at=NOW - timedelta(days=1),
        status=status,
    )


VERBS = {
    "take_back": lambda request: request.take_back(NOW),
    "withdraw": lambda request: request.decline("withdrawn-by-customer", NOW),
    "decline": lambda request: request.decline("declined-by-finance", NOW),
    "release": lambda request: request.release("MC-2030-000001", NOW),
}
ALLOWED = {
    ("take_back", "requested"): "withdrawing",
    ("withdraw", "requested"): "withdrawn",
    ("withdraw", "withdrawing"): "withdrawn",
    ("decline", "requested"): "declined",
    ("decline", "withdrawing"): "declined",
    ("release", "requested"): "released",
    ("release", "withdrawing"): "released",
}


@pytest.mark.parametrize("status", RefundStatus)
@pytest.mark.parametrize("verb", VERBS)
def test_every_state_and_verb(verb: str, status: RefundStatus) -> None:
    assert set(VERBS) == set(REFUND_REQUEST_LIFECYCLE.verbs)
    request = a_request(status)
    after = ALLOWED.get((verb, status.value))
    if after is None:
        with pytest.raises(IllegalMove):
            VERBS[verb](request)
        assert request.status is status
    else:
        VERBS[verb](request)
        assert request.status == after
