"""Rows ↔ credit notes with their lines; nothing of them ever changes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.billing.db.documents import document_from, document_values, line_from, lines_values
from services.billing.db.tables import credit_note_lines, credit_notes
from services.billing.domain.credit_note import CreditNote, NoSuchCreditNote
from services.billing.domain.invoice import Line
from shared.kit.db import Reader, Transaction

_OWN = (
    "id",
    "refund_id",
    "invoice_id",
    "invoice_number",
    "invoice_issued_on",
    "customer_id",
    "contract_id",
    "period_index",
    "agreement_version",
)


async def add(tx: Transaction, note: CreditNote) -> None:
    await tx.insert(
        credit_notes,
        {
            **{name: getattr(note, name) for name in _OWN},
            **document_values(note.document),
            "fee_minor": note.fee.minor,
            "mailing_minor": note.mailing.minor,
            "currency": note.total.currency,
        },
    )
    lines = lines_values(note.document.lines)
    await tx.insert(credit_note_lines, [{"credit_note_id": note.id, **values} for values in lines])


async def get(reader: Reader, credit_note_id: UUID, *, only_customer: UUID | None) -> CreditNote:
    """Raises NoSuchCreditNote."""
    query = sa.select(credit_notes).where(credit_notes.c.id == credit_note_id)
    if only_customer is not None:
        query = query.where(credit_notes.c.customer_id == only_customer)
    found = await _load(reader, query)
    if not found:
        raise NoSuchCreditNote()
    return found[0]


async def listed(
    reader: Reader, *, only_customer: UUID | None, contract_id: UUID | None, after: UUID | None, limit: int
) -> list[CreditNote]:
    """Up to `limit` + 1 in the order they were issued."""
    query = sa.select(credit_notes).order_by(credit_notes.c.id).limit(limit + 1)
    for column, value in [("customer_id", only_customer), ("contract_id", contract_id)]:
        if value is not None:
            query = query.where(credit_notes.c[column] == value)
    if after is not None:
        query = query.where(credit_notes.c.id > after)
    return await _load(reader, query)


async def _load(reader: Reader, query: sa.Select[Any]) -> list[CreditNote]:
    rows = await reader.rows(query)
    lines: dict[UUID, list[Line]] = {row.id: [] for row in rows}
    if lines:
        columns = credit_note_lines.c
        own = sa.select(credit_note_lines).where(columns.credit_note_id.in_(lines)).order_by(columns.position)
        for row in await reader.rows(own):
            lines[row.credit_note_id].append(line_from(row))
    return [
        CreditNote(**{name: getattr(row, name) for name in _OWN}, document=document_from(row, lines[row.id]))
        for row in rows
    ]
