"""Rows of customers."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import customers
from services.contracts.domain.agreement import Language
from services.contracts.domain.customer import Customer, NoSuchCustomer
from shared.kit.db import Fixed, Reader, Transaction


async def insert(tx: Transaction, customer: Customer) -> bool:
    """False when there is one of that id."""
    return await tx.insert_once(
        customers,
        {
            "id": customer.id,
            "name": customer.name,
            "language": customer.language,
            "zone": customer.zone,
            "registered_at": customer.registered_at,
        },
        on=["id"],
    )


async def get(reader: Reader, customer_id: UUID, *, only_customer: UUID | None) -> Customer:
    """Raises NoSuchCustomer, also for somebody else's."""
    return await _one(reader, _ONE, customer_id, only_customer)


async def get_for_update(tx: Transaction, customer_id: UUID, *, only_customer: UUID | None) -> Customer:
    """Locks the row; raises NoSuchCustomer, also for somebody else's."""
    return await _one(tx, _ONE_FOR_UPDATE, customer_id, only_customer)


async def save_zone(tx: Transaction, customer: Customer) -> None:
    await tx.execute(sa.update(customers).where(customers.c.id == customer.id).values(zone=customer.zone))


_OF = sa.select(customers).where(
    customers.c.id == sa.bindparam("customer_id"), customers.c.id == sa.bindparam("only_customer")
)
_ONE, _ONE_FOR_UPDATE = Fixed(_OF), Fixed(_OF.with_for_update())


async def page(reader: Reader, *, only_customer: UUID | None, after: UUID | None, limit: int) -> list[Customer]:
    """Up to `limit` + 1 customers in id order."""
    query = sa.select(customers).order_by(customers.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(customers.c.id == only_customer)
    if after is not None:
        query = query.where(customers.c.id > after)
    return [_customer(row) for row in await reader.rows(query)]


async def _one(reader: Reader, one: Fixed, customer_id: UUID, only_customer: UUID | None) -> Customer:
    row = await reader.row(one, {"customer_id": customer_id, "only_customer": only_customer or customer_id})
    if row is None:
        raise NoSuchCustomer()
    return _customer(row)


def _customer(row: sa.Row[tuple[object, ...]]) -> Customer:
    return Customer(**{**row._mapping, "language": Language(row.language)})
