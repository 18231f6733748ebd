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


class RefundFact(BillingFact):
    aggregate: ClassVar[str] = "refund"
    key: ClassVar[str] = "refund_id"

    refund_id: UUID
    invoice_id: UUID
    contract_id: UUID
    period_index: int


class RefundReleased(RefundFact):
    """The full payment of the period goes back to the customer; the credit note says so."""

    kind: ClassVar[str] = "refund-released"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"refund_id", "contract_id", "period_index", "released_at"}
    )

    credit_note_id: UUID
    credit_note_number: Text
    amount: Amount
    released_at: AwareDatetime


class RefundDeclined(RefundFact):
    """The money stays where it is; finance's own words stay with billing."""

    kind: ClassVar[str] = "refund-declined"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"refund_id", "contract_id", "period_index", "reason", "declined_at"}
    )

    reason: Literal["declined-by-finance", "withdrawn-by-customer", "nothing-to-refund"]
    declined_at: AwareDatetime


class CreditNoteIssued(BillingFact):
    """A credit note got its gapless number; it takes back the whole invoice, line by line."""

    aggregate: ClassVar[str] = "credit_note"
    kind: ClassVar[str] = "credit-note-issued"
    key: ClassVar[str] = "credit_note_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"credit_note_id", "invoice_id", "contract_id", "period_index", "issued_at"}
    )

    credit_note_id: UUID
    refund_id: UUID
    invoice_id: UUID
    contract_id: UUID
    period_index: int
    number: Text
    invoice_number: Text
    net: Amount
    tax: Amount
    mailing: Amount
    total: Amount
    issued_at: AwareDatetime


FACTS: list[type[Fact]] = [
    InvoiceIssued,
    InvoiceSettled,
    InvoiceVoided,
    PaymentReported,
    PaymentAudited,
    RefundReleased,
    RefundDeclined,
    CreditNoteIssued,
]
