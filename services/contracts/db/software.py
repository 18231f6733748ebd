"""Rows of declared software; they are only ever added."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import software_components, software_declarations
from services.contracts.domain.software import (
    Component,
    NoSuchSoftwareDeclaration,
    SoftwareDeclaration,
    Source,
    key_of,
)
from shared.kernel.ids import new_id
from shared.kit.bus import sets
from shared.kit.db import Reader, Transaction


async def insert(tx: Transaction, declaration: SoftwareDeclaration, components: Sequence[Component]) -> None:
    await tx.insert(software_declarations, vars(declaration))
    rows = [
        {
            "id": new_id(),
            "declaration_id": declaration.id,
            "name": component.name,
            "name_key": component.key,
            "component_version": component.version,
            "licence": component.licence,
            "purl": component.purl,
        }
        for component in components
    ]
    await sets.put(tx, software_components, rows)


async def newest_of(reader: Reader, server_id: UUID) -> SoftwareDeclaration | None:
    """The one that counts."""
    columns = software_declarations.c
    row = await reader.row(
        sa.select(software_declarations)
        .where(columns.server_id == server_id)
        .order_by(columns.declaration_index.desc())
        .limit(1)
    )
    return None if row is None else _declaration(row)


async def get(reader: Reader, declaration_id: UUID, *, only_customer: UUID | None) -> SoftwareDeclaration:
    """Raises NoSuchSoftwareDeclaration, also for somebody else's."""
    query = sa.select(software_declarations).where(software_declarations.c.id == declaration_id)
    if only_customer is not None:
        query = query.where(software_declarations.c.customer_id == only_customer)
    row = await reader.row(query)
    if row is None:
        raise NoSuchSoftwareDeclaration()
    return _declaration(row)


async def page(reader: Reader, server_id: UUID, *, after: UUID | None, limit: int) -> list[SoftwareDeclaration]:
    """Up to `limit` + 1 declarations of a server, oldest first."""
    columns = software_declarations.c
    query = sa.select(software_declarations).where(columns.server_id == server_id).order_by(columns.id).limit(limit + 1)
    if after is not None:
        query = query.where(columns.id > after)
    return [_declaration(row) for row in await reader.rows(query)]


async def page_of_components(
    reader: Reader, declaration_id: UUID, *, after: UUID | None, limit: int
) -> list[tuple[UUID, Component]]:
    """Up to `limit` + 1 components of a declaration with their ids, in the order in which they were declared."""
    columns = software_components.c
    query = sa.select(software_components).where(columns.declaration_id == declaration_id)
    if after is not None:
        query = query.where(columns.id > after)
    rows = await reader.rows(query.order_by(columns.id).limit(limit + 1))
    return [
        (row.id, Component(name=row.name, version=row.component_version, licence=row.licence, purl=row.purl))
        for row in rows
    ]


async def declared_among(reader: Reader, declaration: SoftwareDeclaration | None, names: Collection[str]) -> set[str]:
    """The keys of those of `names` that the declaration lists."""
    if declaration is None or not names:
        return set()
    columns = software_components.c
    found = await reader.rows(
        sa.select(columns.name_key)
        .distinct()
        .where(
            columns.declaration_id == declaration.id,
            sets.among(reader, columns.name_key, {key_of(name) for name in names}),
        )
    )
    return {row.name_key for row in found}


def _declaration(row: sa.Row[Any]) -> SoftwareDeclaration:
    return SoftwareDeclaration(**{**row._mapping, "source": Source(row.source)})
