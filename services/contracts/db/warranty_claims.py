"""Rows of warranty claims, and the work that they are about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import warranty_claims as table
from services.contracts.db.tables import work_requests
from services.contracts.domain.warranty import DONE, NoSuchWarrantyClaim, WarrantyClaim
from services.contracts.domain.work_request import AGREED, UNDECIDED, WorkStatus
from shared.kit.db import Reader, Transaction

_UNDER_WAY = sorted(UNDECIDED | AGREED | {WorkStatus.IN_PROGRESS})


async def insert(tx: Transaction, claim: WarrantyClaim) -> None:
    await tx.insert(table, vars(claim))


async def get(reader: Reader, claim_id: UUID, *, only_customer: UUID | None) -> WarrantyClaim:
    """Raises NoSuchWarrantyClaim, also for somebody else's."""
    query = sa.select(table).where(table.c.id == claim_id)
    if only_customer is not None:
        query = query.where(table.c.customer_id == only_customer)
    row = await reader.row(query)
    if row is None:
        raise NoSuchWarrantyClaim()
    return _claim(row)


async def page(
    reader: Reader, *, only_customer: UUID | None, contract_id: UUID | None, after: UUID | None, limit: int
) -> list[WarrantyClaim]:
    """Up to `limit` + 1 claims in id order."""
    query = sa.select(table).order_by(table.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(table.c.customer_id == only_customer)
    if contract_id is not None:
        query = query.where(table.c.contract_id == contract_id)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_claim(row) for row in await reader.rows(query)]


async def newest_done(reader: Reader, contract_id: UUID, server_id: UUID, operation_code: str) -> UUID | None:
    """The work request of that operation on that server that was completed last."""
    columns = work_requests.c
    found: UUID | None = await reader.scalar(
        sa.select(columns.id)
        .where(
            columns.contract_id == contract_id,
            columns.server_id == server_id,
            columns.operation_code == operation_code,
            columns.status.in_(sorted(DONE)),
        )
        .order_by(columns.ended_at.desc(), columns.id.desc())
        .limit(1)
    )
    return found


async def under_way(reader: Reader, work_request_id: UUID) -> UUID | None:
    """The free work order that an earlier claim about that work opened and that is not done yet."""
    found: UUID | None = await reader.scalar(
        sa.select(table.c.work_request_id)
        .join(work_requests, work_requests.c.id == table.c.work_request_id)
        .where(table.c.claimed_work_request_id == work_request_id, work_requests.c.status.in_(_UNDER_WAY))
        .limit(1)
    )
    return found


def _claim(row: sa.Row[Any]) -> WarrantyClaim:
    return WarrantyClaim(**row._mapping)
