"""Refunds of a period's full payment: prepared by one finance user, released by another (clause 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.billing.domain.invoice import Invoice, InvoiceStatus
from services.billing.domain.judgements import judgements
from shared.kernel.errors import Conflict, Forbidden, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle
from shared.kernel.money import Money

CLAUSE = "6.2"


class RefundStatus(StrEnum):
    REQUESTED = "requested"
    PREPARED = "prepared"
    RELEASED = "released"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


REQUESTED, PREPARED, RELEASED, DECLINED, WITHDRAWN = RefundStatus
REFUND_LIFECYCLE = Lifecycle(
    "refund",
    [
        ("prepare", {REQUESTED}, PREPARED),
        ("release", {PREPARED}, RELEASED),
        ("decline", {REQUESTED, PREPARED}, DECLINED),
        ("withdraw", {REQUESTED, PREPARED}, WITHDRAWN),
    ],
)


class Ground(StrEnum):
    DISSATISFIED = "dissatisfied"
    COMPANY_DEFECT = "company-defect"


class DeclineCode(StrEnum):
    BY_FINANCE = "declined-by-finance"
    BY_CUSTOMER = "withdrawn-by-customer"
    NOTHING_TO_REFUND = "nothing-to-refund"


class NoSuchRefund(NotFound):
    """There is no such refund, or it is not yours."""


class OwnPreparation(Forbidden):
    """Nobody releases a refund that they prepared themselves."""

    clause: ClassVar[str | None] = CLAUSE


class NothingToRefund(Conflict):
    """Only the full payment of a period is refunded, and it is not there any more."""

    clause: ClassVar[str | None] = CLAUSE


@dataclass(eq=False, kw_only=True)
class Refund:
    """`amount` is fixed when it is prepared, beside what was paid for the period then (`paid`).

    `decline_reason` is finance's own text; it is there when finance declined.
    """

    id: UUID
    invoice_id: UUID
    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    ground: Ground
    incident_id: UUID | None
    currency: str
    requested_at: datetime
    status: RefundStatus = RefundStatus.REQUESTED
    amount: Money | None = None
    paid: Money | None = None
    prepared_by: str | None = None
    prepared_at: datetime | None = None
    released_by: str | None = None
    released_at: datetime | None = None
    declined_by: str | None = None
    declined_at: datetime | None = None
    decline_code: DeclineCode | None = None
    decline_reason: str | None = None
    version: int = 1

    @property
    def is_open(self) -> bool:
        return REFUND_LIFECYCLE.allows("decline", self.status)

    def prepare(self, invoice: Invoice, paid: Money, *, by: str, now: datetime) -> None:
        """Fix the amount: all that was paid for the period. Raises NothingToRefund, IllegalMove."""
        after = REFUND_LIFECYCLE.after("prepare", self.status)
        check_full_payment(invoice, paid)
        self.status, self.amount, self.paid = after, paid, paid
        self.prepared_by, self.prepared_at = by, now

    def release(self, invoice: Invoice, paid: Money, *, by: str, now: datetime) -> None:
        """Pay back what was prepared. Raises OwnPreparation, NothingToRefund, IllegalMove."""
        after = REFUND_LIFECYCLE.after("release", self.status)
        if by == self.prepared_by:
            raise OwnPreparation(agreement_version=self.agreement_version)
        check_full_payment(invoice, paid)
        self.status = after
        self.released_by, self.released_at = by, now

    def decline(self, code: DeclineCode, reason: str | None, *, by: str, now: datetime) -> None:
        """The money stays. `reason`: finance's words, when finance declines. Raises IllegalMove."""
        self.status = REFUND_LIFECYCLE.after("withdraw" if code is DeclineCode.BY_CUSTOMER else "decline", self.status)
        self.decline_code, self.decline_reason = code, reason
        self.declined_by, self.declined_at = by, now


def is_full_payment(invoice: Invoice, paid: Money) -> bool:
    """`paid`: what approved payments gave for the invoice and has not become credit."""
    return invoice.status is InvoiceStatus.PAID and paid == invoice.total


def check_full_payment(invoice: Invoice, paid: Money) -> None:
    """Raises NothingToRefund."""
    if not is_full_payment(invoice, paid):
        raise NothingToRefund(
            f"The invoice is {invoice.status}, and {paid} of its payments has not become credit.",
            agreement_version=invoice.agreement_version,
            state=str(invoice.status),
        )


@judgements.on("refund.release")
def releasing(facts: Facts, _parameters: Facts) -> Verdict:
    """The full payment, never more than was paid, by another than who prepared it (6.2); raises OwnPreparation."""
    if facts["own_preparation"]:
        raise OwnPreparation()
    full = facts["amount_minor"] == facts["paid_minor"] == facts["invoice_total_minor"]
    return Verdict(RELEASED.value if full else "refused", CLAUSE)


@judgements.on("refund.decline")
def declining(facts: Facts, _parameters: Facts) -> Verdict:
    """Taken back by the customer before the release, by finance with a reason, or for want of a payment (6.2)."""
    code = DeclineCode(facts["code"])
    if not REFUND_LIFECYCLE.allows("decline", RefundStatus(facts["found"])):
        return Verdict(facts["found"], CLAUSE)
    if code is DeclineCode.BY_CUSTOMER:
        return Verdict(WITHDRAWN.value, CLAUSE)
    if code is DeclineCode.NOTHING_TO_REFUND and facts["is_full_payment"]:
        return Verdict(REQUESTED.value, CLAUSE)
    return Verdict(DECLINED.value, CLAUSE)
