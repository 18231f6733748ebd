"""What the billing service tells: invoices and payments."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.events.envelope import Amount, AwareDatetime, Fact

Text = Annotated[str, Field(max_length=200)]


class BillingFact(Fact):
    producer: ClassVar[str] = "billing"


class InvoiceFact(BillingFact):
    aggregate: ClassVar[str] = "invoice"
    key: ClassVar[str] = "invoice_id"

    invoice_id: UUID
    contract_id: UUID
    period_index: int
    number: Text


class InvoiceIssued(InvoiceFact):
    """An invoice got its gapless number; fee, tax and mailing are separate lines, `total` their sum."""

    kind: ClassVar[str] = "invoice-issued"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"invoice_id", "contract_id", "period_index", "issued_at"}
    )

    net: Amount
    tax: Amount
    mailing: Amount
    total: Amount
    issued_at: AwareDatetime


class InvoiceSettled(InvoiceFact):
    """Approved payments cover the invoice."""

    kind: ClassVar[str] = "invoice-settled"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"invoice_id", "contract_id", "period_index", "settled_at"}
    )

    settled_at: AwareDatetime


class InvoiceVoided(InvoiceFact):
    """The invoice asks for nothing any more: what it was for will not be served."""

    kind: ClassVar[str] = "invoice-voided"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"invoice_id", "contract_id", "period_index", "voided_at"}
    )

    reason: Literal["contract-withdrawn", "service-expired", "stopped-by-customer"]
    voided_at: AwareDatetime


class PaymentFact(BillingFact):
    aggregate: ClassVar[str] = "payment"
    key: ClassVar[str] = "payment_id"

    payment_id: UUID
    invoice_id: UUID
    contract_id: UUID
    period_index: int
    amount: Amount


class PaymentReported(PaymentFact):
    """The customer says it has paid; finance has yet to audit it."""

    kind: ClassVar[str] = "payment-reported"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"payment_id", "contract_id", "period_index", "reported_at"}
    )

    reported_at: AwareDatetime


class PaymentAudited(PaymentFact):
    """Finance decided. `invoice_covered`: approved payments now reach the invoice's total."""

    kind: ClassVar[str] = "payment-audited"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"payment_id", "contract_id", "period_index", "verdict", "invoice_covered", "audited_at"}
    )

    verdict: Literal["approved", "rejected"]
    invoice_covered: bool
    outstanding: Amount
    reported_at: AwareDatetime
    audited_at: AwareDatetime


FACTS: list[type[Fact]] = [InvoiceIssued, InvoiceSettled, InvoiceVoided, PaymentReported, PaymentAudited]
