"""Invoices: every state and verb, the sum of lines, rounding per line."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.domain.invoice import (
    INVOICE_LIFECYCLE,
    Invoice,
    InvoiceStatus,
    LineKind,
    NothingToBill,
    Number,
    VoidReason,
)
from shared.kernel.errors import IllegalMove
from shared.kernel.money import CurrencyMismatch, Money
from tests.billing.domain.an import NOON, a_treatment, an_invoice, issue

ALLOWED = {
    ("issue", "draft"): "issued",
    ("settle", "issued"): "paid",
    ("void", "draft"): "void",
    ("void", "issued"): "void",
}
VERBS: dict[str, Callable[[Invoice], None]] = {
    "issue": issue,
    "settle": lambda invoice: invoice.settle(now=NOON),
    "void": lambda invoice: invoice.void(VoidReason.SERVICE_EXPIRED, now=NOON),
}


@pytest.mark.parametrize("status", list(InvoiceStatus))
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_in_every_state(verb: str, status: InvoiceStatus) -> None:
    invoice = an_invoice(status=status)
    if (verb, str(status)) in ALLOWED:
        VERBS[verb](invoice)
        assert invoice.status == ALLOWED[verb, str(status)]
    else:
        with pytest.raises(IllegalMove) as refusal:
            VERBS[verb](invoice)
        assert refusal.value.facts == {"noun": "invoice", "verb": verb, "state": str(status)}
        assert invoice.status is status


def test_the_lifecycle_has_no_other_verbs() -> None:
    assert INVOICE_LIFECYCLE.verbs == sorted(VERBS)


def test_nothing_to_pay_is_not_billed() -> None:
    with pytest.raises(NothingToBill):
        an_invoice(fee=0)


def test_a_mailing_fee_in_another_currency_is_refused() -> None:
    draft = an_invoice()
    with pytest.raises(CurrencyMismatch):
        Invoice(**{**vars(draft), "mailing": Money(100, "USD")})


def test_a_draft_shows_its_net_lines_and_an_unasked_mailing_fee_is_no_line() -> None:
    assert [line.kind for line in an_invoice().lines] == [LineKind.FEE]
    assert [line.kind for line in an_invoice(mailing=5).lines] == [LineKind.FEE, LineKind.MAILING]


@pytest.mark.parametrize(("rounding", "tax"), [("half-up", [1, 1]), ("half-even", [0, 0])])
def test_each_line_is_rounded_on_its_own_by_the_jurisdictions_mode(rounding: str, tax: list[int]) -> None:
    # 10 % of 5 is half a cent: once per line, never once over the sum.
    invoice = an_invoice(fee=5, mailing=5, issued_with=a_treatment("10", rounding))

    assert [line.amount.minor for line in invoice.lines if line.kind is LineKind.TAX] == tax
    assert invoice.document is not None
    assert invoice.document.rounding == rounding


@given(
    fee=st.integers(1, 10**12),
    mailing=st.integers(0, 10**6),
    rate=st.decimals(0, 99, places=2).map(str),
    rounding=st.sampled_from(["half-up", "half-even"]),
)
def test_the_total_is_the_sum_of_its_lines(fee: int, mailing: int, rate: str, rounding: str) -> None:
    invoice = an_invoice(fee=fee, mailing=mailing, issued_with=a_treatment(rate, rounding))
    document = invoice.issued_document

    assert invoice.total.minor == sum(line.amount.minor for line in invoice.lines)
    assert invoice.total == invoice.net + document.tax
    exact = Decimal(fee + mailing) * Decimal(rate) / 100
    assert abs(document.tax.minor - exact) <= Decimal(len(invoice.lines)) / 4


def test_a_number_names_series_and_year() -> None:
    assert str(Number(series="MS", year=2026, sequence=1)) == "MS-2026-000001"
