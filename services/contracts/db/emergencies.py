"""Rows of emergencies."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import emergencies as table
from services.contracts.domain.emergency import Emergency, EmergencyStatus, NoSuchEmergency, Outcome
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

_OPEN = sa.text("status = 'open'")
_UNDER_WAY = sa.text("status IN ('open', 'acknowledged')")


async def insert(tx: Transaction, emergency: Emergency) -> None:
    await tx.insert(table, vars(emergency))


async def get(reader: Reader, emergency_id: UUID, *, only_customer: UUID | None) -> Emergency:
    """Raises NoSuchEmergency, also for somebody else's."""
    query = sa.select(table).where(table.c.id == emergency_id)
    if only_customer is not None:
        query = query.where(table.c.customer_id == only_customer)
    return _found(await reader.row(query))


async def get_for_update(tx: Transaction, emergency_id: UUID) -> Emergency:
    """Raises NoSuchEmergency."""
    return _found(await tx.row(sa.select(table).where(table.c.id == emergency_id).with_for_update()))


async def save(tx: Transaction, emergency: Emergency) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(table).where(table.c.id == emergency.id, table.c.version == emergency.version)
    emergency.version += 1
    if (await tx.execute(guarded.values(**vars(emergency)))).rowcount != 1:
        raise StaleWrite()


async def under_way_of(reader: Reader, server_id: UUID) -> Emergency | None:
    """The one of the server that is open or acknowledged."""
    row = await reader.row(sa.select(table).where(table.c.server_id == server_id, _UNDER_WAY))
    return None if row is None else _emergency(row)


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    status: EmergencyStatus | None,
    after: UUID | None,
    limit: int,
) -> list[Emergency]:
    """Up to `limit` + 1 emergencies in id order."""
    query = sa.select(table).order_by(table.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(table.c.customer_id == only_customer)
    if contract_id is not None:
        query = query.where(table.c.contract_id == contract_id)
    if status is not None:
        query = query.where(table.c.status == status)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_emergency(row) for row in await reader.rows(query)]


async def first_due(reader: Reader) -> datetime | None:
    """By when the open one that waits longest was to be acknowledged."""
    query = sa.select(sa.func.min(table.c.acknowledge_by, type_=table.c.acknowledge_by.type))
    found: datetime | None = await reader.scalar(query.where(_OPEN))
    return found


def _found(row: sa.Row[Any] | None) -> Emergency:
    if row is None:
        raise NoSuchEmergency()
    return _emergency(row)


def _emergency(row: sa.Row[Any]) -> Emergency:
    outcome = None if row.outcome is None else Outcome(row.outcome)
    return Emergency(**{**row._mapping, "status": EmergencyStatus(row.status), "outcome": outcome})
