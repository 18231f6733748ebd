"""/v1/credit-notes"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.billing.api.invoices import LineView, PartyView, line_view, party_view
from services.billing.api.refunds import READERS
from services.billing.db import credit_notes
from services.billing.domain.credit_note import TYPE_CODE, CreditNote, NoSuchCreditNote
from shared.kit.fields import AmountOut, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read

router = HouseRouter("/v1/credit-notes", tag="credit notes")


class CreditNoteView(View):
    """`type_code` is EN 16931's BT-3: the amounts are taken back; the invoice's number and date are BT-25 and BT-26."""

    id: UUID
    type_code: str
    number: str
    issued_on: date
    issued_at: datetime
    refund_id: UUID
    invoice_id: UUID
    invoice_number: str
    invoice_issued_on: date
    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    seller: PartyView
    buyer: PartyView
    lines: list[LineView]
    net: AmountOut
    mailing: AmountOut
    tax: AmountOut
    total: AmountOut
    tax_name: str
    rounding: str
    notes: list[str]
    tax_proof: dict[str, str]


@router.get("", callers=READERS)
async def list_credit_notes(
    reader: Read, caller: CallerIn, paging: Paging, contract_id: Annotated[UUID | None, Query()] = None
) -> Page[CreditNoteView]:
    """Credit notes in the order they were issued."""
    found = await credit_notes.listed(
        reader, only_customer=caller.only_customer, contract_id=contract_id, after=paging.after, limit=paging.limit
    )
    return paging.page(found, _view, lambda note: note.id)


@router.get("/{credit_note_id}", callers=READERS, refusals=[NoSuchCreditNote])
async def read_credit_note(credit_note_id: UUID, reader: Read, caller: CallerIn) -> CreditNoteView:
    """One credit note with its lines, as they were on the invoice."""
    return _view(await credit_notes.get(reader, credit_note_id, only_customer=caller.only_customer))


def _view(note: CreditNote) -> CreditNoteView:
    document = note.document
    return CreditNoteView(
        id=note.id,
        type_code=TYPE_CODE,
        number=str(document.number),
        issued_on=document.issued_on,
        issued_at=document.issued_at,
        refund_id=note.refund_id,
        invoice_id=note.invoice_id,
        invoice_number=note.invoice_number,
        invoice_issued_on=note.invoice_issued_on,
        customer_id=note.customer_id,
        contract_id=note.contract_id,
        period_index=note.period_index,
        agreement_version=note.agreement_version,
        seller=party_view(document.seller),
        buyer=party_view(document.buyer),
        lines=[line_view(line) for line in document.lines],
        net=AmountOut.of(note.fee),
        mailing=AmountOut.of(note.mailing),
        tax=AmountOut.of(document.tax),
        total=AmountOut.of(note.total),
        tax_name=document.tax_name,
        rounding=document.rounding,
        notes=list(document.notes),
        tax_proof=document.proof,
    )
