"""/v1/invoices"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.billing.api.profiles import AddressView
from services.billing.db import invoices
from services.billing.domain.invoice import Invoice, InvoiceStatus, Line, NoSuchInvoice
from services.billing.domain.profile import Party
from shared.kernel.money import Money
from shared.kit.auth import Role
from shared.kit.fields import AmountOut, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read

READERS = {Role.CUSTOMER, Role.FINANCE, Role.SUPPORT, Role.ADMIN}

router = HouseRouter("/v1/invoices", tag="invoices")


class LineView(View):
    """`category`: VAT category of EN 16931 (S, AE, E, G, O); `base` is what a tax line taxes."""

    kind: str
    description: str
    amount: AmountOut
    base: AmountOut | None
    category: str | None
    rate_percent: str | None


class PartyView(View):
    legal_name: str
    address: AddressView
    tax_id: str | None


class InvoiceView(View):
    """A draft has neither number, parties, tax nor total: it waits for the billing profile."""

    id: UUID
    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    status: InvoiceStatus
    number: str | None
    issued_on: date | None
    issued_at: datetime | None
    settled_at: datetime | None
    voided_at: datetime | None
    void_reason: str | None
    period_starts_at: datetime | None
    period_ends_at: datetime | None
    seller: PartyView | None
    buyer: PartyView | None
    lines: list[LineView]
    net: AmountOut
    mailing: AmountOut
    tax: AmountOut | None
    total: AmountOut | None
    tax_name: str | None
    rounding: str | None
    notes: list[str]
    tax_proof: dict[str, str]


@router.get("", callers=READERS)
async def list_invoices(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[InvoiceStatus | None, Query()] = None,
) -> Page[InvoiceView]:
    """Invoices in the order they were made."""
    found = await invoices.listed(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, _view, lambda invoice: invoice.id)


@router.get("/{invoice_id}", callers=READERS, refusals=[NoSuchInvoice])
async def read_invoice(invoice_id: UUID, reader: Read, caller: CallerIn) -> InvoiceView:
    """One invoice with its lines, seller, buyer and notes."""
    return _view(await invoices.get(reader, invoice_id, only_customer=caller.only_customer))


def _view(invoice: Invoice) -> InvoiceView:
    document = invoice.document
    return InvoiceView(
        id=invoice.id,
        customer_id=invoice.customer_id,
        contract_id=invoice.contract_id,
        period_index=invoice.period_index,
        agreement_version=invoice.agreement_version,
        status=invoice.status,
        number=str(document.number) if document else None,
        issued_on=document.issued_on if document else None,
        issued_at=document.issued_at if document else None,
        settled_at=invoice.settled_at,
        voided_at=invoice.voided_at,
        void_reason=invoice.void_reason,
        period_starts_at=invoice.period_starts_at,
        period_ends_at=invoice.period_ends_at,
        seller=party_view(document.seller) if document else None,
        buyer=party_view(document.buyer) if document else None,
        lines=[line_view(line) for line in invoice.lines],
        net=AmountOut.of(invoice.fee),
        mailing=AmountOut.of(invoice.mailing),
        tax=amount_view(document.tax if document else None),
        total=amount_view(document.total if document else None),
        tax_name=document.tax_name if document else None,
        rounding=document.rounding if document else None,
        notes=list(document.notes) if document else [],
        tax_proof=document.proof if document else {},
    )


def line_view(line: Line) -> LineView:
    return LineView(
        kind=line.kind,
        description=line.description,
        amount=AmountOut.of(line.amount),
        base=amount_view(line.base),
        category=line.category,
        rate_percent=None if line.rate_percent is None else str(line.rate_percent),
    )


def amount_view(money: Money | None) -> AmountOut | None:
    return None if money is None else AmountOut.of(money)


def party_view(party: Party) -> PartyView:
    return PartyView.model_validate(party)
