"""What happened to a contract when a fact was heard or time passed; the use case announces each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from services.contracts.domain.payment import Payment
from services.contracts.domain.period import Choice, ServicePeriod


class EndReason(StrEnum):
    NOT_RENEWED = "not-renewed"
    STOPPED_BY_CUSTOMER = "stopped-by-customer"
    PAYMENT_NOT_APPROVED = "payment-not-approved"
    REFUNDED = "refunded"


@dataclass(frozen=True)
class Registered:
    """The first period began when its payment was audited (3.2)."""

    period: ServicePeriod
    payment: Payment


@dataclass(frozen=True)
class WindowOpened:
    """The customer has until the period's end to decide (3.3)."""

    period: ServicePeriod
    standing: Choice | None


@dataclass(frozen=True)
class RenewalRequested:
    """The fee of `period` may be asked for."""

    period: ServicePeriod


@dataclass(frozen=True)
class ChoiceKept:
    """The customer decided what comes after `period`, which it could until `closes_at`."""

    period: ServicePeriod
    choice: Choice
    closes_at: datetime
    standing: bool
    replaced: Choice | None


@dataclass(frozen=True)
class Renewed:
    """`period` is paid; it follows the one before without a gap. `held`: another payment had held the service.

    `closed_at` is until when it could be reported: the end of the period before, or of its extension.
    """

    period: ServicePeriod
    payment: Payment
    held: bool
    closed_at: datetime


@dataclass(frozen=True)
class PeriodBegan:
    """`period` is the present one from now on."""

    period: ServicePeriod


@dataclass(frozen=True)
class Held:
    """`period` ended while a payment reported before its end was still in audit."""

    period: ServicePeriod
    payment: Payment


@dataclass(frozen=True)
class Extended:
    """`period` is over or its contract had ended: the extension that was granted carries the service on (3.5)."""

    period: ServicePeriod


@dataclass(frozen=True)
class Expired:
    period: ServicePeriod
    ended_at: datetime
    reason: EndReason


@dataclass(frozen=True)
class PeriodRefunded:
    """The payment of that period went back to the customer (6.2)."""

    refund_id: UUID
    period_index: int
    released_at: datetime


@dataclass(frozen=True)
class Refunded:
    """The service ended for good in `period`, as the payment of this, an earlier or the next period went back (6.2)."""

    period: ServicePeriod
    refund_id: UUID
    refunded_index: int
    released_at: datetime
    ended_at: datetime
    was_ended: bool


@dataclass(frozen=True)
class PaymentRejected:
    payment: Payment


@dataclass(frozen=True)
class PaidTooLate:
    """The payment cannot bring the service back (3.4)."""

    payment: Payment
    ended_at: datetime
    servers_taken: bool


@dataclass(frozen=True)
class PaymentUnneeded:
    """An approved payment that no period waits for; billing answers for the money."""

    payment: Payment
    contract_status: str


Happening: TypeAlias = (
    Registered
    | WindowOpened
    | RenewalRequested
    | ChoiceKept
    | Renewed
    | PeriodBegan
    | Held
    | Extended
    | Expired
    | PeriodRefunded
    | Refunded
    | PaymentRejected
    | PaidTooLate
    | PaymentUnneeded
)
