"""Restores: rows to domain objects and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Row

from services.backup.db.tables import restores
from services.backup.domain.restore import (
    COMPLETED,
    NoSuchRestore,
    Restore,
    RestoreFailure,
    RestoreStatus,
)
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

columns = restores.c
_IDENTITY = (
    "id",
    "protection_id",
    "run_id",
    "server_id",
    "customer_id",
    "path",
    "channel",
    "requested_at",
    "due_at",
)
_STATE = ("sha256", "bytes", "finished_at", "within_target")


async def add(tx: Transaction, restore: Restore) -> None:
    identity = {name: getattr(restore, name) for name in _IDENTITY}
    await tx.insert(restores, {**identity, **_changing(restore), "version": restore.version})


async def save(tx: Transaction, restore: Restore) -> None:
    """Raises StaleWrite."""
    result = await tx.execute(
        sa.update(restores)
        .where(columns.id == restore.id, columns.version == restore.version)
        .values(**_changing(restore), version=restore.version + 1)
    )
    if result.rowcount != 1:
        raise StaleWrite()
    restore.version += 1


async def get(reader: Reader, restore_id: UUID, *, only_customer: UUID | None) -> Restore:
    """Raises NoSuchRestore, also for another customer's."""
    query = sa.select(restores).where(columns.id == restore_id)
    if only_customer is not None:
        query = query.where(columns.customer_id == only_customer)
    return _found(await reader.row(query))


async def get_for_update(tx: Transaction, restore_id: UUID) -> Restore:
    """Raises NoSuchRestore."""
    return _found(await tx.row(sa.select(restores).where(columns.id == restore_id).with_for_update()))


async def completed_of_protection(reader: Reader, protection_id: UUID) -> list[Restore]:
    """Those whose restored copy is still kept."""
    query = sa.select(restores).where(columns.protection_id == protection_id, columns.status == COMPLETED)
    return [_restore(row) for row in await reader.rows(query.order_by(columns.id))]


async def page(
    reader: Reader, *, only_customer: UUID | None, server_id: UUID | None, after: UUID | None, limit: int
) -> list[Restore]:
    """In id order, up to `limit` + 1."""
    query = sa.select(restores).order_by(columns.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(columns.customer_id == only_customer)
    if server_id is not None:
        query = query.where(columns.server_id == server_id)
    if after is not None:
        query = query.where(columns.id > after)
    return [_restore(row) for row in await reader.rows(query)]


def _changing(restore: Restore) -> dict[str, Any]:
    state = {name: getattr(restore, name) for name in _STATE}
    return {"status": restore.status, "reason": restore.reason, **state}


def _found(row: Row[Any] | None) -> Restore:
    if row is None:
        raise NoSuchRestore()
    return _restore(row)


def _restore(row: Row[Any]) -> Restore:
    values = row._mapping
    return Restore(
        **{name: values[name] for name in (*_IDENTITY, *_STATE)},
        status=RestoreStatus(row.status),
        reason=RestoreFailure(row.reason) if row.reason else None,
        version=row.version,
    )
