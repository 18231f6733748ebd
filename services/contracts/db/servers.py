"""Rows of servers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import servers
from services.contracts.domain.server import NoSuchServer, Server
from shared.kit.bus import sets
from shared.kit.db import Reader, Transaction


async def insert(tx: Transaction, server: Server) -> None:
    await tx.insert(servers, vars(server))


async def get(reader: Reader, server_id: UUID, *, only_customer: UUID | None) -> Server:
    """Raises NoSuchServer, also for somebody else's."""
    return _found(await reader.row(_one(server_id, only_customer)))


async def get_for_update(tx: Transaction, server_id: UUID, *, only_customer: UUID | None) -> Server:
    """As `get`, and nobody else adds secrets to it until the end of `tx`."""
    return _found(await tx.row(_one(server_id, only_customer).with_for_update()))


async def known_of(reader: Reader, customer_id: UUID, server_ids: Collection[UUID]) -> set[UUID]:
    """Which of `server_ids` belong to the customer."""
    rows = await reader.rows(
        sa.select(servers.c.id).where(
            servers.c.customer_id == customer_id, sets.among(reader, servers.c.id, server_ids)
        )
    )
    return {row.id for row in rows}


async def page(reader: Reader, customer_id: UUID, *, after: UUID | None, limit: int) -> list[Server]:
    """Up to `limit` + 1 servers of a customer in id order."""
    query = sa.select(servers).where(servers.c.customer_id == customer_id).order_by(servers.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(servers.c.id > after)
    return [Server(**row._mapping) for row in await reader.rows(query)]


async def name_of(reader: Reader, server_id: UUID) -> str:
    """The name that its customer gave it; the server is known."""
    name: str = await reader.scalar(sa.select(servers.c.name).where(servers.c.id == server_id))
    return name


def _one(server_id: UUID, only_customer: UUID | None) -> sa.Select[Any]:
    query = sa.select(servers).where(servers.c.id == server_id)
    return query if only_customer is None else query.where(servers.c.customer_id == only_customer)


def _found(row: sa.Row[Any] | None) -> Server:
    if row is None:
        raise NoSuchServer()
    return Server(**row._mapping)
