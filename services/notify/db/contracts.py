"""What has been heard of contracts and invoices, kept because facts of different topics come in any order."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from services.notify.db.tables import contract_periods, contract_zones, customers, invoices
from services.notify.domain.notice import Background, Notice
from shared.kit.db import Transaction


async def keep_period(tx: Transaction, contract_id: UUID, period_index: int, agreement_version: str) -> None:
    """Which agreement version rules that period."""
    values = {"contract_id": contract_id, "period_index": period_index, "agreement_version": agreement_version}
    await tx.upsert(contract_periods, values, on=["contract_id", "period_index"], update=["agreement_version"])


async def keep_zone(tx: Transaction, contract_id: UUID, zone: str) -> None:
    values = {"contract_id": contract_id, "zone": zone}
    await tx.upsert(contract_zones, values, on=["contract_id"], update=["zone"])


async def keep_invoice(tx: Transaction, invoice_id: UUID, number: str) -> None:
    await tx.insert_once(invoices, {"invoice_id": invoice_id, "number": number}, on=["invoice_id"])


async def background_of(tx: Transaction, notice: Notice) -> Background:
    """What has been heard of the things `notice` speaks of; before its registration a contract
    has no zone of its own here and the customer's stands in."""
    version = sa.select(contract_periods.c.agreement_version).where(
        contract_periods.c.contract_id == notice.contract_id,
        contract_periods.c.period_index == notice.period_index,
    )
    zone = sa.select(contract_zones.c.zone).where(contract_zones.c.contract_id == notice.contract_id)
    own_zone = sa.select(customers.c.zone).where(customers.c.customer_id == notice.customer_id)
    number = sa.select(invoices.c.number).where(invoices.c.invoice_id == notice.invoice_id)
    row = await tx.row(
        sa.select(
            version.scalar_subquery().label("agreement_version"),
            sa.func.coalesce(zone.scalar_subquery(), own_zone.scalar_subquery()).label("zone"),
            number.scalar_subquery().label("invoice_number"),
        )
    )
    return Background(**row._mapping) if row is not None else Background()
