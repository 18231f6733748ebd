"""Rows of work requests."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import work_requests
from services.contracts.domain.agreement import Risk
from services.contracts.domain.work_request import NoSuchWorkRequest, WorkRequest, WorkStatus
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction


async def insert(tx: Transaction, work: WorkRequest) -> None:
    await tx.insert(work_requests, _values(work))


async def get(reader: Reader, work_request_id: UUID, *, only_customer: UUID | None) -> WorkRequest:
    """Raises NoSuchWorkRequest, also for somebody else's."""
    return _found(await reader.row(_one(work_request_id, only_customer)))


async def get_for_update(tx: Transaction, work_request_id: UUID, *, only_customer: UUID | None) -> WorkRequest:
    """As `get`, and nobody else changes it until the end of `tx`."""
    return _found(await tx.row(_one(work_request_id, only_customer).with_for_update()))


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    status: WorkStatus | None,
    after: UUID | None,
    limit: int,
) -> list[WorkRequest]:
    """Up to `limit` + 1 work requests in id order."""
    query = sa.select(work_requests).order_by(work_requests.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(work_requests.c.customer_id == only_customer)
    if contract_id is not None:
        query = query.where(work_requests.c.contract_id == contract_id)
    if status is not None:
        query = query.where(work_requests.c.status == status)
    if after is not None:
        query = query.where(work_requests.c.id > after)
    return [_work_request(row) for row in await reader.rows(query)]


async def save(tx: Transaction, work: WorkRequest) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(work_requests).where(work_requests.c.id == work.id, work_requests.c.version == work.version)
    work.version += 1
    if (await tx.execute(guarded.values(**_values(work)))).rowcount != 1:
        raise StaleWrite()


def _one(work_request_id: UUID, only_customer: UUID | None) -> sa.Select[Any]:
    query = sa.select(work_requests).where(work_requests.c.id == work_request_id)
    return query if only_customer is None else query.where(work_requests.c.customer_id == only_customer)


def _found(row: sa.Row[Any] | None) -> WorkRequest:
    if row is None:
        raise NoSuchWorkRequest()
    return _work_request(row)


def _work_request(row: sa.Row[Any]) -> WorkRequest:
    return WorkRequest(**{**row._mapping, "risk": Risk(row.risk), "status": WorkStatus(row.status)})


def _values(work: WorkRequest) -> dict[str, Any]:
    return {**vars(work), "risk": int(work.risk)}
