"""Payments: reported by whoever paid, audited by somebody else (clause 3.2)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.billing.domain.evidence import Evidence, NoEvidence
from services.billing.domain.invoice import Invoice, InvoiceStatus
from services.billing.domain.judgements import judgements
from shared.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle
from shared.kernel.money import Money

CLAUSE = "3.2"
EARLIEST_ZONE = timedelta(hours=14)  # where a day begins first


class PaymentStatus(StrEnum):
    REPORTED = "reported"
    APPROVED = "approved"
    REJECTED = "rejected"


REPORTED, APPROVED, REJECTED = PaymentStatus
PAYMENT_LIFECYCLE = Lifecycle(
    "payment",
    [
        ("approve", {REPORTED}, APPROVED),
        ("reject", {REPORTED}, REJECTED),
    ],
)


class NoSuchPayment(NotFound):
    """There is no such payment, or it is not yours."""


class WrongCurrency(Invalid):
    """A payment is in the currency of its invoice."""

    clause: ClassVar[str | None] = CLAUSE


class DuplicateBankReference(Conflict):
    """A payment with this bank reference has been reported before."""

    clause: ClassVar[str | None] = CLAUSE


class PaidInTheFuture(Invalid):
    """A payment is reported after it was made."""

    clause: ClassVar[str | None] = CLAUSE


class OwnEntry(Forbidden):
    """Nobody audits a payment that they recorded themselves."""

    clause: ClassVar[str | None] = CLAUSE


@dataclass(eq=False, kw_only=True)
class Payment:
    """`bank_reference` as it was given; equality is decided on `bank_reference_key`."""

    id: UUID
    invoice_id: UUID
    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    amount: Money
    bank_reference: str | None
    paid_on: date | None
    channel: str
    evidence: Evidence | None
    recorded_by: str
    reported_at: datetime
    status: PaymentStatus = PaymentStatus.REPORTED
    audited_by: str | None = None
    audited_at: datetime | None = None
    rejection_reason: str | None = None
    version: int = 1

    @property
    def bank_reference_key(self) -> str | None:
        return reference_key(self.bank_reference)

    def approve(self, *, by: str, now: datetime) -> None:
        """Raises OwnEntry, IllegalMove."""
        self._audit("approve", by, now)

    def reject(self, reason: str, *, by: str, now: datetime) -> None:
        """Raises OwnEntry, IllegalMove."""
        self._audit("reject", by, now)
        self.rejection_reason = reason

    def _audit(self, verb: str, by: str, now: datetime) -> None:
        if by == self.recorded_by:
            raise OwnEntry(agreement_version=self.agreement_version)
        self.status = PAYMENT_LIFECYCLE.after(verb, self.status)
        self.audited_by, self.audited_at = by, now


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What one more approved payment does to its invoice."""

    covered: bool
    outstanding: Money
    surplus: Money


def reference_key(reference: str | None) -> str | None:
    """Case, spaces and hyphens of a bank reference do not count."""
    folded = unicodedata.normalize("NFKC", reference or "").casefold()
    return "".join(character for character in folded if not character.isspace() and character != "-") or None


def check_report(
    invoice: Invoice, amount: Money, *, bank_reference: str | None, has_file: bool, paid_on: date | None, now: datetime
) -> None:
    """Raises NotPayable, WrongCurrency, NoEvidence, PaidInTheFuture."""
    invoice.check_payable()
    version = invoice.agreement_version
    if amount.currency != invoice.currency:
        raise WrongCurrency(f"This invoice is in {invoice.currency}.", field="currency", agreement_version=version)
    if not has_file and reference_key(bank_reference) is None:
        raise NoEvidence(field="evidence", agreement_version=version)
    if paid_on is not None and paid_on > (now + EARLIEST_ZONE).date():
        raise PaidInTheFuture(field="paid_on", agreement_version=version)


def coverage(invoice: Invoice, approved_before: Money, payment: Money) -> Coverage:
    """A void invoice asks for nothing, so all of it is surplus; otherwise only what exceeds the rest."""
    nothing = Money(0, invoice.currency)
    if invoice.status is InvoiceStatus.VOID:
        return Coverage(covered=False, outstanding=nothing, surplus=payment)
    needed = max(invoice.total.minor - approved_before.minor, 0)
    outstanding = max(needed - payment.minor, 0)
    return Coverage(
        covered=outstanding == 0,
        outstanding=Money(outstanding, invoice.currency),
        surplus=Money(max(payment.minor - needed, 0), invoice.currency),
    )


@judgements.on("payment.report")
def reporting(facts: Facts, parameters: Facts) -> Verdict:
    """In writing (3.1), for an invoice that asks for money, in its currency and with evidence (3.2)."""
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", "3.1")
    payable = facts["invoice_status"] == InvoiceStatus.ISSUED and facts["currency"] == facts["invoice_currency"]
    proven = facts["has_file"] or facts["has_bank_reference"]
    return Verdict("accepted" if payable and proven else "refused", CLAUSE)


@judgements.on("payment.audit")
def auditing(facts: Facts, _parameters: Facts) -> Verdict:
    """What finance found, by somebody who did not record the payment (3.2); raises OwnEntry."""
    if facts["own_entry"]:
        raise OwnEntry()
    return Verdict(PaymentStatus(facts["found"]).value, CLAUSE)
