"""Where a customer is reached."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.notify.db import contacts as stored
from services.notify.domain.contact import LONGEST_ADDRESS, Contact, Language, NoSuchContact, NotAnAddress
from services.notify.use_cases import contacts
from shared.kit.auth import Role
from shared.kit.fields import Body, Line, View
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1/customers/{customer_id}/contact", tag="contacts")


class ContactBody(Body):
    email: Annotated[Line, Field(description=f"name@domain, at most {LONGEST_ADDRESS} characters")]
    language: Language


class ContactView(View):
    customer_id: UUID
    email: str
    language: Language


@router.put("", callers={Role.CUSTOMER, Role.SUPPORT}, refusals=[NotAnAddress, NoSuchContact])
async def put_contact(customer_id: UUID, body: ContactBody, tx: Tx, caller: CallerIn) -> ContactView:
    """Keep where the customer wants its notices, and send those that waited for it."""
    return _view(
        await contacts.put_contact(
            tx, customer_id, email=body.email, language=body.language, only_customer=caller.only_customer
        )
    )


@router.get("", callers={Role.CUSTOMER, Role.SUPPORT}, refusals=[NoSuchContact])
async def read_contact(customer_id: UUID, reader: Read, caller: CallerIn) -> ContactView:
    """The customer's contact."""
    return _view(await stored.get(reader, customer_id, only_customer=caller.only_customer))


def _view(contact: Contact) -> ContactView:
    return ContactView.model_validate(contact)
