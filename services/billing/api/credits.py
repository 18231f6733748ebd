"""/v1/customers/{customer_id}/credit"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.billing.db import credits
from services.billing.domain.credit import CreditEntry, CreditKind, NoSuchCustomer
from shared.kit.auth import Role
from shared.kit.fields import AmountOut, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read

router = HouseRouter("/v1/customers/{customer_id}/credit", tag="credit")


class CreditEntryView(View):
    id: UUID
    payment_id: UUID
    kind: CreditKind
    amount: AmountOut
    created_at: datetime


class CreditView(View):
    """`balances`: one amount per currency."""

    customer_id: UUID
    balances: list[AmountOut]
    entries: Page[CreditEntryView]


@router.get("", callers={Role.CUSTOMER, Role.FINANCE, Role.SUPPORT}, refusals=[NoSuchCustomer])
async def read_credit(customer_id: UUID, reader: Read, caller: CallerIn, paging: Paging) -> CreditView:
    """The customer's money that no invoice asks for, and where it comes from."""
    if caller.only_customer not in {None, customer_id}:
        raise NoSuchCustomer()
    entries = await credits.listed(reader, customer_id, after=paging.after, limit=paging.limit)
    return CreditView(
        customer_id=customer_id,
        balances=[AmountOut.of(balance) for balance in await credits.balances(reader, customer_id)],
        entries=paging.page(entries, _entry, lambda entry: entry.id),
    )


def _entry(entry: CreditEntry) -> CreditEntryView:
    return CreditEntryView(
        id=entry.id,
        payment_id=entry.payment_id,
        kind=entry.kind,
        amount=AmountOut.of(entry.amount),
        created_at=entry.created_at,
    )
