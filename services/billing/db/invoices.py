"""Rows ↔ invoices with their lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.billing.db.documents import document_from, document_values, line_from, lines_values
from services.billing.db.tables import invoice_lines, invoices
from services.billing.domain.invoice import Invoice, InvoiceStatus, Line, NoSuchInvoice, VoidReason
from shared.kernel.errors import StaleWrite
from shared.kernel.money import Money
from shared.kit.db import Reader, Transaction


async def add(tx: Transaction, invoice: Invoice) -> bool:
    """Insert a draft; False when this contract's period has been billed already."""
    return await tx.insert_once(invoices, {**_frozen(invoice), **_moving(invoice)})


async def save(tx: Transaction, invoice: Invoice) -> None:
    """Write what has moved; raises StaleWrite."""
    result = await tx.execute(
        sa.update(invoices)
        .where(invoices.c.id == invoice.id, invoices.c.version == invoice.version)
        .values(_moving(invoice) | {"version": invoice.version + 1})
    )
    if result.rowcount != 1:
        raise StaleWrite()
    invoice.version += 1


async def save_issued(tx: Transaction, invoice: Invoice) -> None:
    """Write the document and its lines, which never change after this; raises StaleWrite."""
    await save(tx, invoice)
    await tx.insert(invoice_lines, [{"invoice_id": invoice.id, **values} for values in lines_values(invoice.lines)])


async def get(reader: Reader, invoice_id: UUID, *, only_customer: UUID | None) -> Invoice:
    """Raises NoSuchInvoice."""
    return await _get(reader, sa.select(invoices), invoice_id, only_customer)


async def get_for_update(
    tx: Transaction, invoice_id: UUID, *, only_customer: UUID | None, clause: str | None = None
) -> Invoice:
    """Locks the row; raises NoSuchInvoice, citing `clause`."""
    return await _get(tx, sa.select(invoices).with_for_update(), invoice_id, only_customer, clause)


async def drafts_of(tx: Transaction, customer_id: UUID) -> list[Invoice]:
    """Locked, oldest first: what waits for this customer's profile."""
    rows = await tx.rows(
        sa.select(invoices)
        .where(invoices.c.customer_id == customer_id, sa.text("status = 'draft'"))
        .order_by(invoices.c.id)
        .with_for_update()
    )
    return [_invoice(row, []) for row in rows]


async def of_period_for_update(tx: Transaction, contract_id: UUID, period_index: int) -> Invoice:
    """Locked: the period's invoice in force; raises NoSuchInvoice."""
    rows = await tx.rows(
        sa.select(invoices)
        .where(
            invoices.c.contract_id == contract_id,
            invoices.c.period_index == period_index,
            sa.text("status <> 'void'"),
        )
        .with_for_update()
    )
    found = await _with_lines(tx, rows)
    if not found:
        raise NoSuchInvoice()
    return found[0]


async def after_period(tx: Transaction, contract_id: UUID, period_index: int) -> list[Invoice]:
    """Locked: the invoices in force of the contract's later periods."""
    rows = await tx.rows(
        sa.select(invoices)
        .where(
            invoices.c.contract_id == contract_id,
            invoices.c.period_index > period_index,
            sa.text("status <> 'void'"),
        )
        .order_by(invoices.c.id)
        .with_for_update()
    )
    return await _with_lines(tx, rows)


async def listed(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    status: InvoiceStatus | None,
    after: UUID | None,
    limit: int,
) -> list[Invoice]:
    """Up to `limit` + 1 in the order they were made."""
    query = sa.select(invoices).order_by(invoices.c.id).limit(limit + 1)
    for column, value in [("customer_id", only_customer), ("contract_id", contract_id), ("status", status)]:
        if value is not None:
            query = query.where(invoices.c[column] == value)
    if after is not None:
        query = query.where(invoices.c.id > after)
    return await _with_lines(reader, await reader.rows(query))


async def _get(
    reader: Reader, query: sa.Select[Any], invoice_id: UUID, only_customer: UUID | None, clause: str | None = None
) -> Invoice:
    query = query.where(invoices.c.id == invoice_id)
    if only_customer is not None:
        query = query.where(invoices.c.customer_id == only_customer)
    found = await _with_lines(reader, await reader.rows(query))
    if not found:
        raise NoSuchInvoice(clause=clause)
    return found[0]


async def _with_lines(reader: Reader, rows: Sequence[Any]) -> list[Invoice]:
    lines: dict[UUID, list[Line]] = {row.id: [] for row in rows}
    if lines:
        found = await reader.rows(
            sa.select(invoice_lines).where(invoice_lines.c.invoice_id.in_(lines)).order_by(invoice_lines.c.position)
        )
        for row in found:
            lines[row.invoice_id].append(line_from(row))
    return [_invoice(row, lines[row.id]) for row in rows]


def _frozen(invoice: Invoice) -> dict[str, Any]:
    return {
        "id": invoice.id,
        "customer_id": invoice.customer_id,
        "contract_id": invoice.contract_id,
        "period_index": invoice.period_index,
        "agreement_version": invoice.agreement_version,
        "plan_code": invoice.plan_code,
        "term_months": invoice.term_months,
        "asked_at": invoice.asked_at,
        "period_starts_at": invoice.period_starts_at,
        "period_ends_at": invoice.period_ends_at,
        "created_at": invoice.created_at,
        "fee_minor": invoice.fee.minor,
        "mailing_minor": invoice.mailing.minor,
        "currency": invoice.currency,
        "version": invoice.version,
    }


def _moving(invoice: Invoice) -> dict[str, Any]:
    values: dict[str, Any] = {
        "status": invoice.status.value,
        "settled_at": invoice.settled_at,
        "voided_at": invoice.voided_at,
        "void_reason": invoice.void_reason.value if invoice.void_reason else None,
    }
    return values | (document_values(invoice.document) if invoice.document else {})


def _invoice(row: Any, lines: Sequence[Line]) -> Invoice:
    return Invoice(
        id=row.id,
        customer_id=row.customer_id,
        contract_id=row.contract_id,
        period_index=row.period_index,
        agreement_version=row.agreement_version,
        plan_code=row.plan_code,
        term_months=row.term_months,
        fee=Money(row.fee_minor, row.currency),
        mailing=Money(row.mailing_minor, row.currency),
        asked_at=row.asked_at,
        created_at=row.created_at,
        period_starts_at=row.period_starts_at,
        period_ends_at=row.period_ends_at,
        status=InvoiceStatus(row.status),
        document=None if row.sequence is None else document_from(row, lines),
        settled_at=row.settled_at,
        voided_at=row.voided_at,
        void_reason=VoidReason(row.void_reason) if row.void_reason else None,
        version=row.version,
    )
