"""How a contract ended, and what that does to invoices for time that will not be served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.billing.domain.invoice import Invoice, VoidReason
from services.billing.domain.payment import Payment, PaymentStatus


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Periods after `last_period_index` are not served.

    `may_be_held`: the service ended for want of a payment only, so one that was reported before the
    end may still renew it (clause 3.3); the invoice it pays stays until that payment is audited.
    """

    contract_id: UUID
    last_period_index: int
    reason: VoidReason
    ended_at: datetime
    may_be_held: bool

    def is_after(self, period_index: int) -> bool:
        return period_index > self.last_period_index

    def closes(self, invoice: Invoice, payments: Iterable[Payment]) -> bool:
        """Whether nothing can come of this invoice any more."""
        if not self.is_after(invoice.period_index):
            return False
        return not self.may_be_held or not any(
            payment.reported_at < self.ended_at and _may_renew(payment, invoice) for payment in payments
        )


def _may_renew(payment: Payment, invoice: Invoice) -> bool:
    """Only an audit that finds the invoice covered renews: one to come, or one since the invoice was paid."""
    if payment.status is not PaymentStatus.APPROVED:
        return payment.status is PaymentStatus.REPORTED
    return (
        invoice.settled_at is not None and payment.audited_at is not None and payment.audited_at >= invoice.settled_at
    )
