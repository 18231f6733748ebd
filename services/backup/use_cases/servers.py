"""Which servers there are."""

from __future__ import annotations

from services.backup.db import servers
from services.backup.domain.server import Server
from shared.events.contracts import ServerRegistered
from shared.kit.db import Transaction


async def remember_server(tx: Transaction, fact: ServerRegistered) -> None:
    server = Server(id=fact.server_id, customer_id=fact.customer_id, name=fact.name, registered_at=fact.registered_at)
    await servers.remember(tx, server)
