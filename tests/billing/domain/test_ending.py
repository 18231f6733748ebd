"""Endings: which invoices nothing can come of any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.billing.domain.ending import Ending
from services.billing.domain.invoice import InvoiceStatus, VoidReason
from services.billing.domain.payment import PaymentStatus
from tests.billing.domain.an import NOON, a_payment, an_invoice

BEFORE, AFTER = NOON - timedelta(microseconds=1), NOON


@pytest.mark.parametrize(
    ("may_be_held", "invoice", "payment", "reported_at", "closes"),
    [
        (True, "issued", None, BEFORE, True),
        (True, "issued", "reported", BEFORE, False),
        (True, "issued", "reported", AFTER, True),
        (True, "issued", "rejected", BEFORE, True),
        (True, "issued", "approved", BEFORE, True),
        (True, "paid", "approved", BEFORE, False),
        (True, "paid", "approved", AFTER, True),
        (False, "issued", "reported", BEFORE, True),
        (False, "paid", "approved", BEFORE, True),
        (False, "draft", None, BEFORE, True),
    ],
)
def test_an_ending_closes_what_no_payment_in_time_can_save(
    may_be_held: bool, invoice: str, payment: str | None, reported_at: object, closes: bool
) -> None:
    ending = Ending(
        contract_id=UUID(int=2),
        last_period_index=0,
        reason=VoidReason.SERVICE_EXPIRED,
        ended_at=NOON,
        may_be_held=may_be_held,
    )
    payments = [a_payment(status=PaymentStatus(payment), reported_at=reported_at, audited_at=AFTER)] if payment else []
    settled_at = AFTER if invoice == "paid" else None

    assert ending.closes(an_invoice(status=InvoiceStatus(invoice), settled_at=settled_at), payments) is closes


@pytest.mark.parametrize(
    ("in_time", "closes"),
    [
        # A part in time, and the payment that covers the rest too late.
        ({"status": PaymentStatus.APPROVED, "audited_at": BEFORE}, True),
        # Covered by a late payment, but one in time is still in audit and would renew.
        ({"status": PaymentStatus.REPORTED}, False),
        ({"status": PaymentStatus.REJECTED, "audited_at": AFTER}, True),
    ],
)
def test_only_a_payment_in_time_whose_audit_finds_the_invoice_covered_keeps_it(
    in_time: dict[str, Any], closes: bool
) -> None:
    ending = Ending(
        contract_id=UUID(int=2),
        last_period_index=0,
        reason=VoidReason.SERVICE_EXPIRED,
        ended_at=NOON,
        may_be_held=True,
    )
    late = a_payment(status=PaymentStatus.APPROVED, reported_at=AFTER, audited_at=AFTER)
    invoice = an_invoice(status=InvoiceStatus.PAID, settled_at=AFTER)

    assert ending.closes(invoice, [a_payment(reported_at=BEFORE, **in_time), late]) is closes


def test_an_ending_leaves_served_periods_alone() -> None:
    ending = Ending(
        contract_id=UUID(int=2),
        last_period_index=1,
        reason=VoidReason.SERVICE_EXPIRED,
        ended_at=NOON,
        may_be_held=False,
    )
    assert not ending.closes(an_invoice(), [])
