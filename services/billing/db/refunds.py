"""Rows ↔ refunds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.billing.db.tables import refunds
from services.billing.domain.refund import DeclineCode, Ground, NoSuchRefund, Refund, RefundStatus
from shared.kernel.errors import StaleWrite
from shared.kernel.money import Money
from shared.kit.db import Reader, Transaction

_IN_FORCE = sa.text("status NOT IN ('declined', 'withdrawn')")


async def add(tx: Transaction, refund: Refund) -> None:
    await tx.insert(refunds, {"id": refund.id, **_values(refund)})


async def save(tx: Transaction, refund: Refund) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(refunds).where(refunds.c.id == refund.id, refunds.c.version == refund.version)
    refund.version += 1
    if (await tx.execute(guarded.values(**_values(refund)))).rowcount != 1:
        raise StaleWrite()


async def find(reader: Reader, refund_id: UUID) -> Refund | None:
    row = await reader.row(sa.select(refunds).where(refunds.c.id == refund_id))
    return None if row is None else _refund(row)


async def get(reader: Reader, refund_id: UUID, *, only_customer: UUID | None) -> Refund:
    """Raises NoSuchRefund."""
    return await _get(reader, sa.select(refunds), refund_id, only_customer)


async def get_for_update(tx: Transaction, refund_id: UUID) -> Refund:
    """Locks the row, whose invoice is locked before; raises NoSuchRefund."""
    return await _get(tx, sa.select(refunds).with_for_update(), refund_id, None)


async def is_in_force(reader: Reader, invoice_id: UUID) -> bool:
    """Whether the invoice's payment is asked back, or was paid back; who decides by it holds the invoice's lock."""
    found = await reader.row(sa.select(refunds.c.id).where(refunds.c.invoice_id == invoice_id, _IN_FORCE))
    return found is not None


async def listed(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    status: RefundStatus | None,
    after: UUID | None,
    limit: int,
) -> list[Refund]:
    """Up to `limit` + 1, oldest request first."""
    query = sa.select(refunds).order_by(refunds.c.id).limit(limit + 1)
    for column, value in [("customer_id", only_customer), ("contract_id", contract_id), ("status", status)]:
        if value is not None:
            query = query.where(refunds.c[column] == value)
    if after is not None:
        query = query.where(refunds.c.id > after)
    return [_refund(row) for row in await reader.rows(query)]


async def _get(reader: Reader, query: sa.Select[Any], refund_id: UUID, only_customer: UUID | None) -> Refund:
    query = query.where(refunds.c.id == refund_id)
    if only_customer is not None:
        query = query.where(refunds.c.customer_id == only_customer)
    row = await reader.row(query)
    if row is None:
        raise NoSuchRefund()
    return _refund(row)


def _values(refund: Refund) -> dict[str, Any]:
    values = {name: value for name, value in vars(refund).items() if name not in {"id", "amount", "paid"}}
    return {
        **values,
        "amount_minor": refund.amount.minor if refund.amount else None,
        "paid_minor": refund.paid.minor if refund.paid else None,
    }


def _refund(row: sa.Row[Any]) -> Refund:
    values = dict(row._mapping)
    amount, paid = (values.pop(name) for name in ("amount_minor", "paid_minor"))
    values["ground"], values["status"] = Ground(row.ground), RefundStatus(row.status)
    values["decline_code"] = DeclineCode(row.decline_code) if row.decline_code else None
    return Refund(
        **values,
        amount=None if amount is None else Money(amount, row.currency),
        paid=None if paid is None else Money(paid, row.currency),
    )
