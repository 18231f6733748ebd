"""Customers and their servers introduce themselves."""

from __future__ import annotations

from uuid import UUID

from services.contracts.db import agreements, customers, servers
from services.contracts.domain.agreement import Language
from services.contracts.domain.customer import Customer, CustomerExists, NoSuchCustomer
from services.contracts.domain.server import Server
from shared.events.contracts import CustomerRegistered, ServerRegistered, ZoneChanged
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.db import Transaction


async def register_customer(
    tx: Transaction,
    *,
    customer_id: UUID | None,
    only_customer: UUID | None,
    name: str,
    language: Language,
    zone: str,
    channel: str,
) -> Customer:
    """A customer registers the id of its token, staff any id; raises OralRequest, NoSuchCustomer, CustomerExists."""
    agreements.published().current(tx.now).check_channel(channel)
    if only_customer is not None and (only_customer.int == 0 or customer_id not in (None, only_customer)):
        raise NoSuchCustomer("The token names no such customer.")
    customer = Customer(
        id=only_customer or customer_id or new_id(), name=name, language=language, zone=zone, registered_at=tx.now
    )
    if not await customers.insert(tx, customer):
        raise CustomerExists()
    fact = CustomerRegistered(
        customer_id=customer.id, language=customer.language.value, zone=customer.zone, registered_at=tx.now
    )
    tx.publish(fact)
    audit_trail.record(tx, customer.id, "register-customer", customer.id, channel=channel)
    return customer


async def change_zone(
    tx: Transaction, customer_id: UUID, *, only_customer: UUID | None, zone: str, channel: str
) -> Customer:
    """Contracts drafted from now on run by the new zone; raises NoSuchCustomer, OralRequest, UnknownZone."""
    customer = await customers.get_for_update(tx, customer_id, only_customer=only_customer)
    agreements.published().current(tx.now).check_channel(channel)
    moved = customer.change_zone(zone)
    if moved == customer:
        return customer
    await customers.save_zone(tx, moved)
    tx.publish(ZoneChanged(customer_id=moved.id, zone=moved.zone, changed_at=tx.now))
    audit_trail.record(tx, moved.id, "change-zone", moved.id, zone=moved.zone, channel=channel)
    return moved


async def register_server(
    tx: Transaction, customer_id: UUID, *, only_customer: UUID | None, name: str, operating_system: str, channel: str
) -> Server:
    """Raises NoSuchCustomer, OralRequest."""
    customer = await customers.get(tx, customer_id, only_customer=only_customer)
    agreements.published().current(tx.now).check_channel(channel)
    server = Server(
        id=new_id(), customer_id=customer.id, name=name, operating_system=operating_system, registered_at=tx.now
    )
    await servers.insert(tx, server)
    tx.publish(ServerRegistered(customer_id=customer.id, server_id=server.id, name=server.name, registered_at=tx.now))
    audit_trail.record(tx, customer.id, "register-server", server.id, channel=channel)
    return server
