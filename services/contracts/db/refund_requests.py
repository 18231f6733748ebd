"""Rows of requests for a refund."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import refund_requests as table
from services.contracts.domain.refund_request import Ground, NoSuchRefundRequest, RefundRequest, RefundStatus
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

_IN_FORCE = sa.text("status NOT IN ('withdrawn', 'declined')")


async def insert(tx: Transaction, request: RefundRequest) -> None:
    await tx.insert(table, vars(request))


async def get(reader: Reader, refund_id: UUID, *, only_customer: UUID | None) -> RefundRequest:
    """Raises NoSuchRefundRequest, also for somebody else's."""
    row = await reader.row(_one(refund_id, only_customer))
    if row is None:
        raise NoSuchRefundRequest()
    return _request(row)


async def find_for_update(tx: Transaction, refund_id: UUID) -> RefundRequest | None:
    """Nobody else changes it until the end of `tx`; its contract is locked before."""
    row = await tx.row(_one(refund_id, None).with_for_update())
    return None if row is None else _request(row)


async def in_force(reader: Reader, contract_id: UUID, period_index: int) -> RefundRequest | None:
    """The one request for the period that is open or was granted."""
    columns = table.c
    query = sa.select(table).where(columns.contract_id == contract_id, columns.period_index == period_index, _IN_FORCE)
    row = await reader.row(query)
    return None if row is None else _request(row)


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    status: RefundStatus | None,
    after: UUID | None,
    limit: int,
) -> list[RefundRequest]:
    """Up to `limit` + 1 requests in id order."""
    query = sa.select(table).order_by(table.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(table.c.customer_id == only_customer)
    if contract_id is not None:
        query = query.where(table.c.contract_id == contract_id)
    if status is not None:
        query = query.where(table.c.status == status)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_request(row) for row in await reader.rows(query)]


async def save(tx: Transaction, request: RefundRequest) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(table).where(table.c.id == request.id, table.c.version == request.version)
    request.version += 1
    if (await tx.execute(guarded.values(**vars(request)))).rowcount != 1:
        raise StaleWrite()


def _one(refund_id: UUID, only_customer: UUID | None) -> sa.Select[Any]:
    query = sa.select(table).where(table.c.id == refund_id)
    return query if only_customer is None else query.where(table.c.customer_id == only_customer)


def _request(row: sa.Row[Any]) -> RefundRequest:
    values = {**row._mapping, "ground": Ground(row.ground), "status": RefundStatus(row.status)}
    return RefundRequest(**values)
