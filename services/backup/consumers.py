"""What the backup service does when the contracts service speaks."""

from __future__ import annotations

from services.backup.use_cases import coverages, servers
from shared.events.contracts import (
    ServerRegistered,
    ServiceExpired,
    ServiceExtended,
    ServiceHeld,
    ServiceRefunded,
    ServiceRegistered,
    ServiceRenewed,
)
from shared.events.envelope import Envelope
from shared.kit.bus.handlers import Handlers
from shared.kit.db import Transaction

handlers = Handlers()


@handlers.on(ServerRegistered)
async def server_registered(tx: Transaction, fact: ServerRegistered, _envelope: Envelope) -> None:
    await servers.remember_server(tx, fact)


@handlers.on(ServiceRegistered)
async def service_registered(tx: Transaction, fact: ServiceRegistered, _envelope: Envelope) -> None:
    await coverages.register_service(tx, fact)


@handlers.on(ServiceRenewed)
async def service_renewed(tx: Transaction, fact: ServiceRenewed, _envelope: Envelope) -> None:
    await coverages.renew_service(tx, fact)


@handlers.on(ServiceHeld)
async def service_held(tx: Transaction, fact: ServiceHeld, _envelope: Envelope) -> None:
    await coverages.hold_service(tx, fact)


@handlers.on(ServiceExtended)
async def service_extended(tx: Transaction, fact: ServiceExtended, _envelope: Envelope) -> None:
    await coverages.extend_service(tx, fact)


@handlers.on(ServiceExpired)
async def service_expired(tx: Transaction, fact: ServiceExpired, _envelope: Envelope) -> None:
    await coverages.expire_service(tx, fact)


@handlers.on(ServiceRefunded)
async def service_refunded(tx: Transaction, fact: ServiceRefunded, _envelope: Envelope) -> None:
    await coverages.refund_service(tx, fact)
