"""A period of service as it was bought: its time, agreement, plan, and what the customer chose for after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.contracts.domain.catalogue import Plan
from shared.kernel.lifecycle import Lifecycle
from shared.kernel.money import Money
from shared.kernel.period import Period, Window, days_after


class PeriodStatus(StrEnum):
    PLANNED = "planned"
    """A renewal decided before the window opened: it is asked for when the window opens."""
    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"


PERIOD_LIFECYCLE = Lifecycle[PeriodStatus](
    "period",
    [
        ("request", {PeriodStatus.PLANNED}, PeriodStatus.AWAITING_PAYMENT),
        ("pay", {PeriodStatus.AWAITING_PAYMENT}, PeriodStatus.PAID),
    ],
)


class Choice(StrEnum):
    RENEW = "renew"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class BoughtPlan:
    """The plan's version and fee at the moment it was bought."""

    code: str
    version: int
    term_months: int
    fee: Money

    @classmethod
    def of(cls, plan: Plan) -> BoughtPlan:
        return cls(code=plan.code, version=plan.version, term_months=plan.term_months, fee=plan.fee)


@dataclass(kw_only=True)
class ServicePeriod:
    """`choice` is what the customer decided for after this period, in its window or standing before it.

    `refund_asked_at` is when its payment was asked back, unless that came to nothing; `refund_id` is there once it went
    back. `explained_at` is when special circumstances were explained, unless the company refused to extend for them.
    """

    period: Period
    window: Window
    status: PeriodStatus
    agreement_version: str
    acceptance_id: UUID
    plan: BoughtPlan
    payment_id: UUID | None = None
    expiring_told_at: datetime | None = None
    refund_asked_at: datetime | None = None
    refund_id: UUID | None = None
    refunded_at: datetime | None = None
    choice: Choice | None = None
    chosen_at: datetime | None = None
    explained_at: datetime | None = None
    extended_until: datetime | None = None

    @property
    def index(self) -> int:
        return self.period.index

    @property
    def starts_at(self) -> datetime:
        return self.period.starts_at

    @property
    def ends_at(self) -> datetime:
        return self.period.ends_at

    @property
    def closes_at(self) -> datetime:
        """Until when the customer decides and reports the payment for what follows: an extension's end, if granted."""
        return self.extended_until or self.ends_at

    @property
    def standing_choice(self) -> Choice | None:
        """What was decided before the window opened."""
        if self.chosen_at is None or self.chosen_at >= self.window.opens_at:
            return None
        return self.choice

    def refund_closed_at(self, now: datetime, days: int | None) -> datetime | None:
        """The end of the days in which its payment may be asked back, once they are over. `days` None: never."""
        if days is None:
            return None
        closes_at = days_after(self.starts_at, days, self.period.zone)
        return closes_at if now >= closes_at else None

    def choose(self, choice: Choice, now: datetime) -> None:
        self.choice, self.chosen_at = choice, now

    def request(self) -> None:
        self.status = PERIOD_LIFECYCLE.after("request", self.status)

    def pay(self, payment_id: UUID) -> None:
        self.status = PERIOD_LIFECYCLE.after("pay", self.status)
        self.payment_id = payment_id
