"""Customers and their servers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.contracts.db import customers, servers
from services.contracts.domain.agreement import Language
from services.contracts.domain.customer import CustomerExists, NoSuchCustomer
from services.contracts.use_cases import customers as stories
from shared.kernel.channels import OralRequest
from shared.kernel.period import UnknownZone
from shared.kit.auth import STAFF, Role
from shared.kit.fields import Body, Line, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1/customers", tag="customers")

READERS = STAFF | {Role.CUSTOMER}
WRITERS = frozenset({Role.CUSTOMER, Role.SUPPORT, Role.ADMIN})
"""Support enters what a customer asked for in writing; the caller is on record."""


class RegisterCustomer(Body):
    """A customer registers the id of its own token; staff may name an id or have one made."""

    name: Line
    language: Language
    zone: Line
    channel: Line
    customer_id: UUID | None = None


class CustomerView(View):
    id: UUID
    name: str
    language: Language
    zone: str
    registered_at: datetime


class ChangeZone(Body):
    zone: Line
    channel: Line


class RegisterServer(Body):
    name: Line
    operating_system: Line
    channel: Line


class ServerView(View):
    id: UUID
    customer_id: UUID
    name: str
    operating_system: str
    registered_at: datetime


@router.post("", callers=WRITERS, status_code=201, refusals=[OralRequest, UnknownZone, NoSuchCustomer, CustomerExists])
async def register_customer(body: RegisterCustomer, tx: Tx, caller: CallerIn) -> CustomerView:
    """Register a customer with its language and time zone."""
    customer = await stories.register_customer(
        tx,
        customer_id=body.customer_id,
        only_customer=caller.only_customer,
        name=body.name,
        language=body.language,
        zone=body.zone,
        channel=body.channel,
    )
    return CustomerView.model_validate(customer)


@router.get("", callers=READERS)
async def list_customers(reader: Read, caller: CallerIn, paging: Paging) -> Page[CustomerView]:
    """Customers the caller may see."""
    found = await customers.page(reader, only_customer=caller.only_customer, after=paging.after, limit=paging.limit)
    return paging.page(found, CustomerView.model_validate, lambda customer: customer.id)


@router.get("/{customer_id}", callers=READERS, refusals=[NoSuchCustomer])
async def read_customer(customer_id: UUID, reader: Read, caller: CallerIn) -> CustomerView:
    """One customer."""
    customer = await customers.get(reader, customer_id, only_customer=caller.only_customer)
    return CustomerView.model_validate(customer)


@router.post("/{customer_id}/change-zone", callers=WRITERS, refusals=[OralRequest, UnknownZone, NoSuchCustomer])
async def change_zone(customer_id: UUID, body: ChangeZone, tx: Tx, caller: CallerIn) -> CustomerView:
    """Move the customer to another time zone; contracts keep the zone they were drafted in."""
    customer = await stories.change_zone(
        tx, customer_id, only_customer=caller.only_customer, zone=body.zone, channel=body.channel
    )
    return CustomerView.model_validate(customer)


@router.post("/{customer_id}/servers", callers=WRITERS, status_code=201, refusals=[OralRequest, NoSuchCustomer])
async def register_server(customer_id: UUID, body: RegisterServer, tx: Tx, caller: CallerIn) -> ServerView:
    """Name a server of the customer."""
    server = await stories.register_server(
        tx,
        customer_id,
        only_customer=caller.only_customer,
        name=body.name,
        operating_system=body.operating_system,
        channel=body.channel,
    )
    return ServerView.model_validate(server)


@router.get("/{customer_id}/servers", callers=READERS, refusals=[NoSuchCustomer])
async def list_servers(customer_id: UUID, reader: Read, caller: CallerIn, paging: Paging) -> Page[ServerView]:
    """The customer's servers."""
    await customers.get(reader, customer_id, only_customer=caller.only_customer)
    found = await servers.page(reader, customer_id, after=paging.after, limit=paging.limit)
    return paging.page(found, ServerView.model_validate, lambda server: server.id)
