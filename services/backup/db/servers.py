"""Servers: rows to domain objects and back."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from services.backup.db.tables import servers
from services.backup.domain.server import NoSuchServer, Server
from shared.kit.db import Reader, Transaction


async def remember(tx: Transaction, server: Server) -> None:
    """Keep the server; hearing of it again changes nothing."""
    values = {
        "id": server.id,
        "customer_id": server.customer_id,
        "name": server.name,
        "registered_at": server.registered_at,
    }
    await tx.insert_once(servers, values, on=["id"])


async def get(reader: Reader, server_id: UUID, *, only_customer: UUID | None) -> Server:
    """Raises NoSuchServer, also for another customer's."""
    query = sa.select(servers).where(servers.c.id == server_id)
    if only_customer is not None:
        query = query.where(servers.c.customer_id == only_customer)
    row = await reader.row(query)
    if row is None:
        raise NoSuchServer()
    return Server(**row._mapping)
