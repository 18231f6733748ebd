"""Rows of extensions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import extensions
from services.contracts.domain.extension import Extension, ExtensionStatus, NoSuchExtension
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction


async def insert(tx: Transaction, extension: Extension) -> None:
    await tx.insert(extensions, vars(extension))


async def get(reader: Reader, extension_id: UUID, *, only_customer: UUID | None) -> Extension:
    """Raises NoSuchExtension, also for somebody else's."""
    return _found(await reader.row(_one(extension_id, only_customer)))


async def get_for_update(tx: Transaction, extension_id: UUID) -> Extension:
    """As `get`, and nobody else changes it until the end of `tx`; the contract is locked before."""
    return _found(await tx.row(_one(extension_id, None).with_for_update()))


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    status: ExtensionStatus | None,
    after: UUID | None,
    limit: int,
) -> list[Extension]:
    """Up to `limit` + 1 extensions in id order."""
    query = sa.select(extensions).order_by(extensions.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(extensions.c.customer_id == only_customer)
    if contract_id is not None:
        query = query.where(extensions.c.contract_id == contract_id)
    if status is not None:
        query = query.where(extensions.c.status == status)
    if after is not None:
        query = query.where(extensions.c.id > after)
    return [_extension(row) for row in await reader.rows(query)]


async def save(tx: Transaction, extension: Extension) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(extensions).where(extensions.c.id == extension.id, extensions.c.version == extension.version)
    extension.version += 1
    if (await tx.execute(guarded.values(**vars(extension)))).rowcount != 1:
        raise StaleWrite()


def _one(extension_id: UUID, only_customer: UUID | None) -> sa.Select[Any]:
    query = sa.select(extensions).where(extensions.c.id == extension_id)
    return query if only_customer is None else query.where(extensions.c.customer_id == only_customer)


def _found(row: sa.Row[Any] | None) -> Extension:
    if row is None:
        raise NoSuchExtension()
    return _extension(row)


def _extension(row: sa.Row[Any]) -> Extension:
    return Extension(**{**row._mapping, "status": ExtensionStatus(row.status)})
