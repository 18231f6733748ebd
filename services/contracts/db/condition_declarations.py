"""Rows of declared conditions."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import condition_declarations as table
from services.contracts.domain.condition_declaration import (
    Condition,
    ConditionDeclaration,
    DeclarationStatus,
    NoSuchDeclaration,
)
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction


async def insert(tx: Transaction, declaration: ConditionDeclaration) -> None:
    await tx.insert(table, _values(declaration))


async def get_for_update(tx: Transaction, declaration_id: UUID) -> ConditionDeclaration:
    """Raises NoSuchDeclaration."""
    row = await tx.row(sa.select(table).where(table.c.id == declaration_id).with_for_update())
    if row is None:
        raise NoSuchDeclaration()
    return _declaration(row)


async def save(tx: Transaction, declaration: ConditionDeclaration) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(table).where(table.c.id == declaration.id, table.c.version == declaration.version)
    declaration.version += 1
    if (await tx.execute(guarded.values(**_values(declaration)))).rowcount != 1:
        raise StaleWrite()


async def standing_at(reader: Reader, contract_id: UUID, server_id: UUID, at: datetime) -> ConditionDeclaration | None:
    """The newest word to the customer that was given by then and not lifted yet."""
    standing = sa.or_(table.c.lifted_at.is_(None), table.c.lifted_at > at)
    row = await reader.row(
        sa.select(table)
        .where(table.c.server_id == server_id, table.c.contract_id == contract_id, table.c.declared_at <= at, standing)
        .order_by(table.c.declared_at.desc())
        .limit(1)
    )
    return None if row is None else _declaration(row)


async def page(reader: Reader, contract_id: UUID, *, after: UUID | None, limit: int) -> list[ConditionDeclaration]:
    """Up to `limit` + 1 declarations of a contract in id order."""
    query = sa.select(table).where(table.c.contract_id == contract_id).order_by(table.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_declaration(row) for row in await reader.rows(query)]


def _declaration(row: sa.Row[Any]) -> ConditionDeclaration:
    unmet = tuple(Condition(code) for code in row.unmet)
    return ConditionDeclaration(**{**row._mapping, "unmet": unmet, "status": DeclarationStatus(row.status)})


def _values(declaration: ConditionDeclaration) -> dict[str, Any]:
    return {**vars(declaration), "unmet": [condition.value for condition in declaration.unmet]}
