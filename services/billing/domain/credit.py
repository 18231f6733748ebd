"""Credit: money of the customer's that no invoice asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.kernel.errors import NotFound
from shared.kernel.money import Money, total


class CreditKind(StrEnum):
    OVERPAYMENT = "overpayment"
    NOT_SERVED = "not-served"


class NoSuchCustomer(NotFound):
    """There is no such customer, or it is not you."""


@dataclass(frozen=True, kw_only=True)
class CreditEntry:
    """One per payment and kind; together never more than the payment."""

    id: UUID
    customer_id: UUID
    payment_id: UUID
    kind: CreditKind
    amount: Money
    created_at: datetime


def rest_of(payment: Money, entries: Iterable[CreditEntry]) -> Money:
    """The part of a payment that has not become credit yet."""
    return payment - total((entry.amount for entry in entries), payment.currency)
