"""Rows of payments, as billing told them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import payments
from services.contracts.domain.payment import Payment, Verdict
from shared.kit.db import Reader, Transaction


async def find(reader: Reader, payment_id: UUID) -> Payment | None:
    """What is known of the payment."""
    row = await reader.row(sa.select(payments).where(payments.c.id == payment_id))
    return None if row is None else payment_of(row)


async def keep(tx: Transaction, contract_id: UUID, payment: Payment) -> None:
    """Store what is known of the payment now."""
    values = {"contract_id": contract_id, **_values(payment)}
    await tx.upsert(payments, values, on=["id"], update=["reported_at", "verdict", "covers", "audited_at"])


def payment_of(row: sa.Row[Any]) -> Payment:
    return Payment(
        id=row.id,
        period_index=row.period_index,
        reported_at=row.reported_at,
        verdict=Verdict(row.verdict) if row.verdict else None,
        covers=row.covers,
        audited_at=row.audited_at,
    )


def _values(payment: Payment) -> dict[str, Any]:
    return {
        "id": payment.id,
        "period_index": payment.period_index,
        "reported_at": payment.reported_at,
        "verdict": payment.verdict,
        "covers": payment.covers,
        "audited_at": payment.audited_at,
    }
