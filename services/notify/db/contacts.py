"""Contacts, and the customer row that everything about one customer's notices is serialised by."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.notify.db.tables import contacts, customers
from services.notify.domain.contact import Contact, Language, NoSuchContact
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction


async def lock_customer(tx: Transaction, customer_id: UUID) -> None:
    """Until the end of `tx`, nobody else words this customer's notices or changes its contact.

    Without it, a notice and what it waits for could be stored at the same time, each unseen by the other.
    """
    await tx.upsert(customers, {"customer_id": customer_id}, on=["customer_id"], update=["customer_id"])


async def keep_zone(tx: Transaction, customer_id: UUID, zone: str) -> None:
    await tx.execute(sa.update(customers).where(customers.c.customer_id == customer_id).values(zone=zone))


async def find(reader: Reader, customer_id: UUID) -> Contact | None:
    row = await reader.row(sa.select(contacts).where(contacts.c.customer_id == customer_id))
    return None if row is None else _contact(row)


async def get(reader: Reader, customer_id: UUID, *, only_customer: UUID | None = None) -> Contact:
    """Raises NoSuchContact, also for another customer's."""
    if only_customer is not None and only_customer != customer_id:
        raise NoSuchContact()
    contact = await find(reader, customer_id)
    if contact is None:
        raise NoSuchContact()
    return contact


async def add(tx: Transaction, contact: Contact) -> None:
    await tx.insert(contacts, _row(contact))


async def update(tx: Transaction, contact: Contact) -> None:
    """Raises StaleWrite."""
    result = await tx.execute(
        sa.update(contacts)
        .where(contacts.c.customer_id == contact.customer_id, contacts.c.version == contact.version)
        .values({**_row(contact), "version": contact.version + 1})
    )
    if result.rowcount != 1:
        raise StaleWrite()
    contact.version += 1


def _contact(row: Any) -> Contact:
    return Contact(**{**row._mapping, "language": Language(row.language)})


def _row(contact: Contact) -> dict[str, Any]:
    return {
        "customer_id": contact.customer_id,
        "email": contact.email,
        "language": contact.language.value,
        "version": contact.version,
    }
