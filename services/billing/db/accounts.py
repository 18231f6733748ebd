"""The customer's account row, which orders commands of one customer."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from services.billing.db.tables import accounts
from shared.kit.db import Transaction


async def lock(tx: Transaction, customer_id: UUID) -> None:
    """Until this commits no other command that locks this customer's account goes on."""
    await tx.insert_once(accounts, {"customer_id": customer_id}, on=["customer_id"])
    await tx.execute(sa.select(accounts).where(accounts.c.customer_id == customer_id).with_for_update())
