"""Whether a contract was served at an instant of the past."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.contracts.domain.contract import Contract
from services.contracts.domain.happening import EndReason
from services.contracts.domain.service_then import PaidPeriod, service_then
from tests.contracts.domain.builders import END, MOMENT, START, a_held_contract, an_active_contract

FIRST = PaidPeriod(index=1, agreement_version="2026-1", starts_at=START, ends_at=END)
AGAIN = END + timedelta(days=20)
LATER = PaidPeriod(index=2, agreement_version="2027-1", starts_at=AGAIN, ends_at=AGAIN + timedelta(days=30))


def an_expired_contract() -> Contract:
    contract = an_active_contract()
    contract.catch_up(END)
    return contract


def test_before_the_service_there_was_none() -> None:
    assert service_then(an_active_contract(), before=None, after=FIRST, at=START - MOMENT) is None


@pytest.mark.parametrize(("at", "served"), [(START, True), (END - MOMENT, True), (END, False)])
def test_a_period_is_half_open(at: datetime, served: bool) -> None:
    then = service_then(an_expired_contract(), before=FIRST, after=None, at=at)
    assert then is not None
    assert then.served is served
    assert then.end_reason is (None if served else EndReason.NOT_RENEWED)


def test_a_held_service_is_served() -> None:
    contract, _payment = a_held_contract()
    then = service_then(contract, before=FIRST, after=None, at=END + MOMENT)
    assert then is not None
    assert then.served


def test_between_the_end_and_a_new_purchase_nobody_had_paid() -> None:
    then = service_then(an_active_contract(), before=FIRST, after=LATER, at=AGAIN - MOMENT)
    assert then is not None
    assert (then.served, then.period_index, then.ended_at, then.end_reason) == (False, 1, END, EndReason.NOT_RENEWED)
    assert then.shown()["end_reason"] == "not-renewed"
