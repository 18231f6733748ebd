"""Credit notes: an invoice taken back line by line (EN 16931 type 381), frozen under a number of their own series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from services.billing.domain.invoice import Document, Invoice, LineKind, Number
from shared.kernel.errors import NotFound
from shared.kernel.money import Money, total

TYPE_CODE = "381"


class NoSuchCreditNote(NotFound):
    """There is no such credit note, or it is not yours."""


@dataclass(frozen=True, kw_only=True)
class CreditNote:
    """Amounts are positive, as type 381 says that they are taken back; parties and tax are those of the invoice."""

    id: UUID
    refund_id: UUID
    invoice_id: UUID
    invoice_number: str
    invoice_issued_on: date
    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    document: Document

    @property
    def fee(self) -> Money:
        return self._of(LineKind.FEE)

    @property
    def mailing(self) -> Money:
        return self._of(LineKind.MAILING)

    @property
    def total(self) -> Money:
        return self.document.total

    def _of(self, kind: LineKind) -> Money:
        lines = self.document.lines
        return total((line.amount for line in lines if line.kind is kind), lines[0].amount.currency)


def credit_note_of(
    invoice: Invoice, *, id: UUID, refund_id: UUID, number: Number, now: datetime, on: date
) -> CreditNote:
    """The invoice's document once more, under another number and date; raises NotPayable for a draft."""
    taken_back = invoice.issued_document
    return CreditNote(
        id=id,
        refund_id=refund_id,
        invoice_id=invoice.id,
        invoice_number=str(taken_back.number),
        invoice_issued_on=taken_back.issued_on,
        customer_id=invoice.customer_id,
        contract_id=invoice.contract_id,
        period_index=invoice.period_index,
        agreement_version=invoice.agreement_version,
        document=replace(taken_back, number=number, issued_on=on, issued_at=now),
    )
