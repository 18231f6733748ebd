"""How contracts ended, kept so that facts may arrive in any order."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from services.billing.db.tables import contract_endings
from services.billing.domain.ending import Ending
from services.billing.domain.invoice import VoidReason
from shared.kit.db import Reader, Transaction


async def find(reader: Reader, contract_id: UUID) -> Ending | None:
    row = await reader.row(sa.select(contract_endings).where(contract_endings.c.contract_id == contract_id))
    if row is None:
        return None
    return Ending(
        contract_id=row.contract_id,
        last_period_index=row.last_period_index,
        reason=VoidReason(row.reason),
        ended_at=row.ended_at,
        may_be_held=row.may_be_held,
    )


async def save(tx: Transaction, ending: Ending) -> None:
    """The latest ending counts: a service revived by a late audit ends anew later."""
    values = {
        "contract_id": ending.contract_id,
        "last_period_index": ending.last_period_index,
        "reason": ending.reason.value,
        "ended_at": ending.ended_at,
        "may_be_held": ending.may_be_held,
    }
    await tx.upsert(
        contract_endings, values, on=["contract_id"], update=["last_period_index", "reason", "ended_at", "may_be_held"]
    )


async def forget(tx: Transaction, contract_id: UUID, *, before_period: int) -> None:
    """A period after the ending was registered after all: the ending no longer holds."""
    columns = contract_endings.c
    await tx.execute(
        sa.delete(contract_endings).where(columns.contract_id == contract_id, columns.last_period_index < before_period)
    )
