"""Where a customer is reached."""

from __future__ import annotations

from uuid import UUID

from services.notify.db import contacts
from services.notify.domain.contact import Contact, Language, NoSuchContact, address_of
from services.notify.use_cases.notices import go_on_with_waiting
from shared.kit import audit_trail
from shared.kit.db import Transaction


async def put_contact(
    tx: Transaction, customer_id: UUID, *, email: str, language: Language, only_customer: UUID | None
) -> Contact:
    """Keep the contact and send what waited for it; raises NotAnAddress, NoSuchContact for another customer's."""
    if only_customer is not None and only_customer != customer_id:
        raise NoSuchContact()
    await contacts.lock_customer(tx, customer_id)
    contact = await contacts.find(tx, customer_id)
    if contact is None:
        contact = Contact(customer_id=customer_id, email=address_of(email), language=language)
        await contacts.add(tx, contact)
    else:
        contact.change(email=email, language=language)
        await contacts.update(tx, contact)
    audit_trail.record(tx, customer_id, "put_contact", customer_id, language=language.value)
    await go_on_with_waiting(tx, customer_id)
    return contact
