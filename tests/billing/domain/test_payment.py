"""Payments: every state and verb, four eyes, coverage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.domain.evidence import NoEvidence
from services.billing.domain.invoice import InvoiceStatus, NotPayable
from services.billing.domain.payment import (
    Coverage,
    OwnEntry,
    PaidInTheFuture,
    Payment,
    PaymentStatus,
    WrongCurrency,
    check_report,
    coverage,
    reference_key,
)
from shared.kernel.errors import IllegalMove, Refusal
from shared.kernel.money import Money
from tests.billing.domain.an import NOON, a_payment, a_treatment, an_invoice, euros

ALLOWED = {("approve", "reported"): "approved", ("reject", "reported"): "rejected"}
VERBS: dict[str, Callable[[Payment, str], None]] = {
    "approve": lambda payment, by: payment.approve(by=by, now=NOON),
    "reject": lambda payment, by: payment.reject("why", by=by, now=NOON),
}


@pytest.mark.parametrize("status", list(PaymentStatus))
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_in_every_state(verb: str, status: PaymentStatus) -> None:
    payment = a_payment(status=status)
    if (verb, str(status)) in ALLOWED:
        VERBS[verb](payment, "auditor")
        assert (payment.status, payment.audited_by) == (ALLOWED[verb, str(status)], "auditor")
    else:
        with pytest.raises(IllegalMove):
            VERBS[verb](payment, "auditor")
        assert payment.status is status


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_audits_their_own_entry(verb: str) -> None:
    payment = a_payment(recorded_by="kim")
    with pytest.raises(OwnEntry):
        VERBS[verb](payment, "kim")
    assert payment.status is PaymentStatus.REPORTED


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"amount": Money(1, "USD")}, WrongCurrency),
        ({"bank_reference": None}, NoEvidence),
        ({"paid_on": NOON.date().replace(year=2027)}, PaidInTheFuture),
    ],
)
def test_a_report_that_proves_nothing_is_refused(changes: dict[str, Any], refusal: type[Refusal]) -> None:
    report: dict[str, Any] = {
        "amount": euros(1),
        "bank_reference": "r",
        "has_file": False,
        "paid_on": None,
    }
    with pytest.raises(refusal) as refused:
        check_report(an_invoice(issued_with=a_treatment()), now=NOON, **(report | changes))
    assert (refused.value.cited_clause, refused.value.agreement_version) == ("3.2", "2026-01")


@pytest.mark.parametrize("status", [InvoiceStatus.DRAFT, InvoiceStatus.PAID, InvoiceStatus.VOID])
def test_only_an_issued_invoice_is_payable(status: InvoiceStatus) -> None:
    with pytest.raises(NotPayable):
        an_invoice(status=status).check_payable()


@given(
    amounts=st.lists(st.integers(1, 30_000), min_size=1, max_size=6),
    void_after=st.integers(0, 6),
)
def test_every_cent_pays_the_invoice_or_becomes_credit(amounts: list[int], void_after: int) -> None:
    invoice = an_invoice(issued_with=a_treatment())
    approved, surplus, covered = 0, 0, False
    for position, amount in enumerate(amounts):
        if position == void_after and not covered:
            invoice.status = InvoiceStatus.VOID
        reached = coverage(invoice, euros(approved), euros(amount))
        approved += amount
        surplus += reached.surplus.minor
        covered = reached.covered
        if invoice.status is not InvoiceStatus.VOID:
            assert covered == (approved >= 11_900)
            assert approved - surplus + reached.outstanding.minor == 11_900


def test_a_void_invoice_asks_for_nothing() -> None:
    invoice = an_invoice(issued_with=a_treatment(), status=InvoiceStatus.VOID)
    assert coverage(invoice, euros(0), euros(50)) == Coverage(covered=False, outstanding=euros(0), surplus=euros(50))


@pytest.mark.parametrize(
    ("reference", "key"),
    [(None, None), ("", None), (" - ", None), ("E2E-47 11", "e2e4711"), ("ＡＢ１", "ab1"), ("a/b", "a/b")],
)
def test_a_bank_reference_is_compared_by_what_people_read(reference: str | None, key: str | None) -> None:
    assert reference_key(reference) == key
