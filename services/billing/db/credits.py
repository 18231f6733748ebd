"""Rows ↔ credit entries."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.billing.db.tables import credit_entries
from services.billing.domain.credit import CreditEntry, CreditKind
from shared.kernel.money import Money
from shared.kit.db import Reader, Transaction


async def add(tx: Transaction, entry: CreditEntry) -> None:
    await tx.insert(
        credit_entries,
        {
            "id": entry.id,
            "customer_id": entry.customer_id,
            "payment_id": entry.payment_id,
            "kind": entry.kind.value,
            "amount_minor": entry.amount.minor,
            "currency": entry.amount.currency,
            "created_at": entry.created_at,
        },
    )


async def of_payment(reader: Reader, payment_id: UUID) -> list[CreditEntry]:
    rows = await reader.rows(sa.select(credit_entries).where(credit_entries.c.payment_id == payment_id))
    return [_entry(row) for row in rows]


async def balances(reader: Reader, customer_id: UUID) -> list[Money]:
    """The customer's credit, one amount per currency."""
    columns = credit_entries.c
    rows = await reader.rows(
        sa.select(columns.currency, sa.func.sum(columns.amount_minor).label("minor"))
        .where(columns.customer_id == customer_id)
        .group_by(columns.currency)
        .order_by(columns.currency)
    )
    return [Money(int(row.minor), row.currency) for row in rows]


async def listed(reader: Reader, customer_id: UUID, *, after: UUID | None, limit: int) -> list[CreditEntry]:
    """Up to `limit` + 1, oldest first."""
    columns = credit_entries.c
    query = sa.select(credit_entries).where(columns.customer_id == customer_id).order_by(columns.id).limit(limit + 1)
    if after is not None:
        query = query.where(columns.id > after)
    return [_entry(row) for row in await reader.rows(query)]


def _entry(row: Any) -> CreditEntry:
    return CreditEntry(
        id=row.id,
        customer_id=row.customer_id,
        payment_id=row.payment_id,
        kind=CreditKind(row.kind),
        amount=Money(row.amount_minor, row.currency),
        created_at=row.created_at,
    )
