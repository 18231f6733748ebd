"""Refunds: every state × verb, four eyes, and never another amount than the full payment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.billing.domain.judgements import judgements
from services.billing.domain.refund import (
    REFUND_LIFECYCLE,
    DeclineCode,
    Ground,
    NothingToRefund,
    OwnPreparation,
    Refund,
    RefundStatus,
    declining,
    releasing,
)
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from tests.billing.domain.an import a_treatment, an_invoice
from tests.support.judging import Judged

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
RELEASE: dict[str, Any] = {
    "own_preparation": False,
    "amount_minor": 11_900,
    "paid_minor": 11_900,
    "invoice_total_minor": 11_900,
}
DECLINE: dict[str, Any] = {"code": "declined-by-finance", "found": "requested", "is_full_payment": True}

JUDGED = [
    Judged(releasing, "released", "6.2", RELEASE),
    Judged(releasing, "OwnPreparation", "6.2", RELEASE | {"own_preparation": True}),
    Judged(releasing, "refused", "6.2", RELEASE | {"amount_minor": 11_901}),
    Judged(releasing, "refused", "6.2", RELEASE | {"paid_minor": 11_899}),
    Judged(releasing, "refused", "6.2", RELEASE | {"invoice_total_minor": 12_000}),
    Judged(declining, "declined", "6.2", DECLINE),
    Judged(declining, "declined", "6.2", DECLINE | {"found": "prepared"}),
    Judged(declining, "released", "6.2", DECLINE | {"found": "released"}),
    Judged(declining, "withdrawn", "6.2", DECLINE | {"code": "withdrawn-by-customer"}),
    Judged(declining, "requested", "6.2", DECLINE | {"code": "nothing-to-refund"}),
    Judged(declining, "declined", "6.2", DECLINE | {"code": "nothing-to-refund", "is_full_payment": False}),
]


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_verdict_follows_from_the_facts(example: Judged) -> None:
    example.insist(judgements)


INVOICE = an_invoice(issued_with=a_treatment())
INVOICE.settle(now=NOW)
PAID = INVOICE.total
VERBS = {
    "prepare": lambda refund: refund.prepare(INVOICE, PAID, by="two", now=NOW),
    "release": lambda refund: refund.release(INVOICE, PAID, by="two", now=NOW),
    "decline": lambda refund: refund.decline(DeclineCode.BY_FINANCE, "served", by="two", now=NOW),
    "withdraw": lambda refund: refund.decline(DeclineCode.BY_CUSTOMER, None, by="two", now=NOW),
}
ALLOWED = {
    ("prepare", "requested"): "prepared",
    ("release", "prepared"): "released",
    ("decline", "requested"): "declined",
    ("decline", "prepared"): "declined",
    ("withdraw", "requested"): "withdrawn",
    ("withdraw", "prepared"): "withdrawn",
}


def a_refund(status: RefundStatus = RefundStatus.REQUESTED) -> Refund:
    return Refund(
        id=new_id(),
        invoice_id=INVOICE.id,
        customer_id=INVOICE.customer_id,
        contract_id=INVOICE.contract_id,
        period_index=1,
        agreement_version="2026-1",
        ground=Ground.DISSATISFIED,
        incident_id=None,
        currency="EUR",
        requested_at=NOW - timedelta(days=1),
        status=status,
        prepared_by=None if status is RefundStatus.REQUESTED else "one",
    )


@pytest.mark.parametrize("status", RefundStatus)
@pytest.mark.parametrize("verb", VERBS)
def test_every_state_and_verb(verb: str, status: RefundStatus) -> None:
    assert set(VERBS) == set(REFUND_LIFECYCLE.verbs)
    refund = a_refund(status)
    after = ALLOWED.get((verb, status.value))
    if after is None:
        with pytest.raises(IllegalMove):
            VERBS[verb](refund)
        assert refund.status is status
    else:
        VERBS[verb](refund)
        assert refund.status == after


def test_nobody_releases_what_they_prepared() -> None:
    refund = a_refund()
    refund.prepare(INVOICE, PAID, by="one", now=NOW)
    with pytest.raises(OwnPreparation):
        refund.release(INVOICE, PAID, by="one", now=NOW)
    assert refund.status is RefundStatus.PREPARED


@pytest.mark.parametrize("minor", [0, 1, PAID.minor - 1, PAID.minor + 1])
def test_another_amount_than_the_full_payment_is_not_there_to_refund(minor: int) -> None:
    with pytest.raises(NothingToRefund):
        a_refund().prepare(INVOICE, Money(minor, "EUR"), by="one", now=NOW)


def test_an_invoice_that_is_not_paid_is_not_refunded() -> None:
    unpaid = an_invoice(issued_with=a_treatment())
    with pytest.raises(NothingToRefund):
        a_refund().prepare(unpaid, unpaid.total, by="one", now=NOW)
