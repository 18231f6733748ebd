"""Applications for remote backup: rows to domain objects and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.backup.db.tables import STANDING
from services.backup.db.tables import remote_applications as table
from services.backup.domain.remote_application import (
    APPROVED,
    AlreadyApplied,
    ApplicationStatus,
    DeclineReason,
    NoSuchApplication,
    RemoteApplication,
)
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction


async def add(tx: Transaction, application: RemoteApplication) -> None:
    """Raises AlreadyApplied."""
    standing = sa.select(table.c.id).where(
        table.c.contract_id == application.contract_id, table.c.server_id == application.server_id, STANDING
    )
    # The partial unique index decides between two at once; without a target it also covers that index.
    if await tx.scalar(standing) is not None or not await tx.insert_once(table, vars(application)):
        raise AlreadyApplied(agreement_version=application.agreement_version)


async def get(reader: Reader, application_id: UUID, *, only_customer: UUID | None) -> RemoteApplication:
    """Raises NoSuchApplication, also for another customer's."""
    query = sa.select(table).where(table.c.id == application_id)
    if only_customer is not None:
        query = query.where(table.c.customer_id == only_customer)
    return _found(await reader.row(query))


async def get_for_update(tx: Transaction, application_id: UUID) -> RemoteApplication:
    """Raises NoSuchApplication."""
    return _found(await tx.row(sa.select(table).where(table.c.id == application_id).with_for_update()))


async def save(tx: Transaction, application: RemoteApplication) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(table).where(table.c.id == application.id, table.c.version == application.version)
    application.version += 1
    if (await tx.execute(guarded.values(**vars(application)))).rowcount != 1:
        raise StaleWrite()


async def approved_of_contract(reader: Reader, contract_id: UUID) -> set[UUID]:
    """The servers of the contract that are backed up remotely."""
    query = sa.select(table.c.server_id).where(table.c.contract_id == contract_id, table.c.status == APPROVED)
    return {row.server_id for row in await reader.rows(query)}


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    server_id: UUID | None,
    status: ApplicationStatus | None,
    after: UUID | None,
    limit: int,
) -> list[RemoteApplication]:
    """In id order, up to `limit` + 1."""
    query = sa.select(table).order_by(table.c.id).limit(limit + 1)
    wanted = {"customer_id": only_customer, "server_id": server_id, "status": status}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_application(row) for row in await reader.rows(query)]


def _found(row: sa.Row[Any] | None) -> RemoteApplication:
    if row is None:
        raise NoSuchApplication()
    return _application(row)


def _application(row: sa.Row[Any]) -> RemoteApplication:
    reason = None if row.reason is None else DeclineReason(row.reason)
    return RemoteApplication(**{**row._mapping, "status": ApplicationStatus(row.status), "reason": reason})
