"""A contract: from draft to the end of its last period, and who may decide what in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.contracts.domain.agreement import AcceptedText
from services.contracts.domain.decision_table import (
    AlreadyDecided,
    Facts,
    Matter,
    Moment,
    NothingToExtend,
    NotRegistered,
    Ruling,
    rule,
)
from services.contracts.domain.happening import (
    ChoiceKept,
    EndReason,
    Expired,
    Extended,
    Happening,
    Held,
    PaidTooLate,
    PaymentRejected,
    PaymentUnneeded,
    PeriodBegan,
    PeriodRefunded,
    Refunded,
    Registered,
    RenewalRequested,
    Renewed,
    WindowOpened,
)
from services.contracts.domain.payment import Payment, Verdict
from services.contracts.domain.period import BoughtPlan, Choice, PeriodStatus, ServicePeriod
from shared.kernel.errors import NotFound, Refusal
from shared.kernel.lifecycle import Lifecycle
from shared.kernel.period import Period


class NoSuchContract(NotFound):
    """There is no such contract, or it is not yours."""


class NoSuchAcceptance(NotFound):
    """Nothing was accepted for this contract, or not that."""


class ContractStatus(StrEnum):
    DRAFT = "draft"
    AWAITING_PAYMENT = "awaiting_payment"
    ACTIVE = "active"
    EXTENDED = "extended"
    HELD = "held"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    WITHDRAWN = "withdrawn"


CONTRACT_LIFECYCLE = Lifecycle[ContractStatus](
    "contract",
    [
        ("accept", {ContractStatus.DRAFT}, ContractStatus.AWAITING_PAYMENT),
        ("register", {ContractStatus.AWAITING_PAYMENT}, ContractStatus.ACTIVE),
        ("withdraw", {ContractStatus.DRAFT, ContractStatus.AWAITING_PAYMENT}, ContractStatus.WITHDRAWN),
        # From expired: word of a payment that was reported in time came after the end.
        ("hold", {ContractStatus.ACTIVE, ContractStatus.EXTENDED, ContractStatus.EXPIRED}, ContractStatus.HELD),
        # From expired: what was explained before the end is granted after it.
        ("extend", {ContractStatus.ACTIVE, ContractStatus.HELD, ContractStatus.EXPIRED}, ContractStatus.EXTENDED),
        ("release", {ContractStatus.HELD, ContractStatus.EXTENDED}, ContractStatus.ACTIVE),
        ("expire", {ContractStatus.ACTIVE, ContractStatus.EXTENDED, ContractStatus.HELD}, ContractStatus.EXPIRED),
        ("refund", {ContractStatus.ACTIVE, ContractStatus.EXTENDED, ContractStatus.HELD}, ContractStatus.REFUNDED),
        # Nothing brings back what was refunded.
        ("refund", {ContractStatus.EXPIRED}, ContractStatus.REFUNDED),
    ],
)
ENDED = frozenset({ContractStatus.EXPIRED, ContractStatus.REFUNDED})
RUNNING = frozenset({ContractStatus.ACTIVE, ContractStatus.EXTENDED})
"""In these, time works on a contract: its window opens, its period or extension ends."""
SERVED = RUNNING | {ContractStatus.HELD}
LIVE = SERVED | {ContractStatus.DRAFT, ContractStatus.AWAITING_PAYMENT}
"""A contract in one of these has its servers to itself."""


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """The customer's word: who, when, from which address (personal data), which text in which language."""

    id: UUID
    contract_id: UUID
    period_index: int
    text: AcceptedText
    accepted_by: str
    address: str
    channel: str
    accepted_at: datetime


@dataclass(eq=False, kw_only=True)
class Contract:
    """`periods` holds the present and the next one at least; `current_index` is 0 until registration."""

    id: UUID
    customer_id: UUID
    zone: str
    server_ids: tuple[UUID, ...]
    plan: BoughtPlan
    paper_bill: bool
    agreement_version: str
    drafted_at: datetime
    status: ContractStatus = ContractStatus.DRAFT
    acceptance_id: UUID | None = None
    accepted_at: datetime | None = None
    withdrawn_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    disclosure_open_since: datetime | None = None
    current_index: int = 0
    periods: dict[int, ServicePeriod] = field(default_factory=dict)
    payments: dict[UUID, Payment] = field(default_factory=dict)
    version: int = 1

    @property
    def current(self) -> ServicePeriod | None:
        return self.periods.get(self.current_index)

    @property
    def next_period(self) -> ServicePeriod | None:
        return self.periods.get(self.current_index + 1)

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    def present(self) -> ServicePeriod:
        """The present period of a registered service; raises NotRegistered."""
        if self.current is None or self.status not in SERVED:
            raise self._not_registered()
        return self.current

    def flag_disclosure(self, *, open_since: datetime | None) -> None:
        """Since when something disclosed has waited to be replaced (5.2); None: nothing does."""
        self.disclosure_open_since = open_since

    # Before registration

    def accept(self, acceptance: Acceptance) -> None:
        """Keep the customer's word; raises IllegalMove."""
        self.status = CONTRACT_LIFECYCLE.after("accept", self.status)
        self.agreement_version = acceptance.text.version
        self.acceptance_id, self.accepted_at = acceptance.id, acceptance.accepted_at

    def withdraw(self, now: datetime) -> None:
        """Raises NothingToWithdraw once the service is registered, or withdrawn before."""
        self.rule_on(Matter.WITHDRAW, now).enforce()
        self.status = CONTRACT_LIFECYCLE.after("withdraw", self.status)
        self.withdrawn_at = now

    # Deciding (the table is in decision_table)

    def rule_on(self, matter: Matter, now: datetime, *, refund_days: int | None = None) -> Ruling:
        """May this be decided at `now`? The portal shows, the reminder tells and commands enforce this.

        `refund_days`: how long after its beginning a period is refunded; None: as long as anybody asks.
        """
        current, following = self.current, self.next_period
        if current is None:
            return rule(matter, Facts(moment=self.moment_at(now), agreement_version=self.agreement_version))
        facts = Facts(
            moment=self.moment_at(now),
            agreement_version=current.agreement_version,
            ends_at=current.ends_at,
            closes_at=current.closes_at,
            choice=current.choice,
            chosen_at=current.chosen_at,
            next_is_paid=following is not None and following.status is PeriodStatus.PAID,
            explained_at=current.explained_at,
            extended_until=current.extended_until,
            refunded_at=current.refund_asked_at,
            refund_closed_at=current.refund_closed_at(now, refund_days),
        )
        return rule(matter, facts)

    def moment_at(self, now: datetime) -> Moment:
        """The one place that compares a contract with the clock."""
        current = self.current
        if self.status not in RUNNING or current is None:
            return Moment.ENDED if self.status in ENDED else Moment(self.status)
        if now >= current.closes_at:
            return Moment.ENDED
        if now >= current.ends_at:
            return Moment.EXTENDED
        return Moment.BEFORE_WINDOW if now < current.window.opens_at else Moment.IN_WINDOW

    def renew(self, *, plan: BoughtPlan, acceptance: Acceptance, window_days: int, now: datetime) -> list[Happening]:
        """Decide for another term of `plan`; raises NotRegistered, AfterTheEnd, AlreadyDecided."""
        ruling = self.rule_on(Matter.RENEW, now)
        ruling.enforce()
        current = self.present()
        replaced = current.choice
        current.choose(Choice.RENEW, now)
        following = current.period.next(months=plan.term_months)
        planned = ServicePeriod(
            period=following,
            window=following.window(window_days),
            status=PeriodStatus.PLANNED,
            agreement_version=acceptance.text.version,
            acceptance_id=acceptance.id,
            plan=plan,
        )
        self.periods[planned.index] = planned
        kept: list[Happening] = [ChoiceKept(current, Choice.RENEW, current.closes_at, ruling.standing, replaced)]
        return kept if ruling.standing else kept + self._request_renewal()

    def stop(self, now: datetime) -> list[Happening]:
        """Decide that the service ends with the present period, or at once when an extension carries it on.

        An extension is given up by it. Raises as `renew` does.
        """
        ruling = self.rule_on(Matter.STOP, now)
        ruling.enforce()
        current = self.present()
        replaced = current.choice
        current.choose(Choice.STOP, now)
        self.periods.pop(current.index + 1, None)
        kept: list[Happening] = [ChoiceKept(current, Choice.STOP, current.closes_at, ruling.standing, replaced)]
        current.extended_until = None
        if self.status is ContractStatus.EXTENDED:
            kept.append(self._expire(current, now, EndReason.STOPPED_BY_CUSTOMER))
        return kept

    # Special circumstances (3.5)

    def explain(self, now: datetime) -> ServicePeriod:
        """The period whose circumstances are explained in time.

        Raises NotRegistered, ExplainedTooLate, NothingToExtend, AlreadyDecided, AlreadyExplained.
        """
        self.rule_on(Matter.EXTEND, now).enforce()
        current = self.present()
        current.explained_at = now
        return current

    def check_extendable(self, period_index: int) -> ServicePeriod:
        """The period that may be extended, also after its end; raises NothingToExtend, AlreadyDecided."""
        current, following = self.current, self.next_period
        renewed = following is not None and following.status is PeriodStatus.PAID
        if current is None or current.index != period_index or renewed:
            raise NothingToExtend(agreement_version=self.agreement_version)
        if self.status is ContractStatus.REFUNDED:
            raise NothingToExtend("The service was refunded.", agreement_version=self.agreement_version)
        if current.choice is Choice.STOP:
            assert current.chosen_at is not None
            raise AlreadyDecided(
                f"The decision to stop was made at {current.chosen_at.isoformat()}.",
                clause="3.5",
                agreement_version=current.agreement_version,
                decision=str(current.choice),
                decided_at=current.chosen_at.isoformat(),
            )
        return current

    def extend(self, period_index: int, until: datetime, now: datetime) -> list[Happening]:
        """The company grants what was explained; a service that had ended meanwhile comes back.

        Raises what `check_extendable` raises.
        """
        current = self.check_extendable(period_index)
        current.extended_until = until
        if now < current.ends_at:
            return []
        ended = self.status is ContractStatus.EXPIRED
        extended: list[Happening] = [self._extend(current)]
        return extended + self._request_again() if ended else extended

    def refuse_extension(self, period_index: int) -> None:
        """The company refuses: before the end, other circumstances may be explained."""
        if self.current is not None and self.current.index == period_index:
            self.current.explained_at = None

    # Payments (3.2)

    def hear_report(self, payment: Payment, *, servers_free: bool) -> list[Happening]:
        """A payment was reported; one that was reported before the end brings an expired service back."""
        if payment.id in self.payments:
            return []
        self.payments[payment.id] = payment
        if self.status is ContractStatus.EXPIRED and servers_free and self._could_renew(payment):
            return [self._hold(payment)]
        return []

    def hear_audit(self, payment: Payment, *, window_days: int, servers_free: bool) -> list[Happening]:
        """Finance decided on a payment; hearing it again changes nothing. `window_days`: of the first period."""
        known = self.payments.get(payment.id)
        if known is not None and not known.in_audit:
            return []
        self.payments[payment.id] = payment
        if payment.verdict is Verdict.APPROVED and payment.covers:
            return self._hear_covered(payment, window_days, servers_free)
        heard: list[Happening] = [PaymentRejected(payment)] if payment.verdict is Verdict.REJECTED else []
        return heard + self._end_hold_without_payment(payment)

    # Refunds (6.2)

    def ask_refund(self, period_index: int, now: datetime) -> None:
        """That the payment of the present or next period is asked back."""
        if (period := self.periods.get(period_index)) is not None:
            period.refund_asked_at = now

    def keep_payment(self, period_index: int) -> None:
        """The payment of that period stays: it may be asked back again."""
        if (period := self.periods.get(period_index)) is not None:
            period.refund_asked_at = None

    def hear_refund(self, refund_id: UUID, period_index: int, released_at: datetime) -> list[Happening]:
        """The payment of a period went back: the service ends with it, or before a period that has not begun."""
        period = self.periods.get(period_index)
        if period is not None:
            period.refund_id, period.refunded_at = refund_id, released_at
        refunded: list[Happening] = [PeriodRefunded(refund_id, period_index, released_at)]
        if period_index > self.current_index or self.status is ContractStatus.REFUNDED:
            return refunded
        assert self.current is not None
        ended_at = max(released_at, self.current.starts_at)
        return [*refunded, self._refund(refund_id, period_index, released_at, ended_at)]

    def _refund(self, refund_id: UUID, period_index: int, released_at: datetime, ended_at: datetime) -> Happening:
        """`period_index`: of the period that was refunded. A service that had ended keeps its end."""
        assert self.current is not None
        was_ended = self.status is ContractStatus.EXPIRED
        self.status = CONTRACT_LIFECYCLE.after("refund", self.status)
        if self.ended_at is None:
            self.ended_at, self.end_reason = ended_at, EndReason.REFUNDED
        return Refunded(self.current, refund_id, period_index, released_at, self.ended_at, was_ended)

    # Time

    def catch_up(self, now: datetime) -> list[Happening]:
        """Everything that was due by `now` and has not happened yet, in the order of the calendar."""
        happened: list[Happening] = []
        while self.status in RUNNING and (current := self.current) is not None:
            moment = self.moment_at(now)
            if moment is Moment.BEFORE_WINDOW:
                break
            happened += self._open_window(current, now)
            if moment is Moment.IN_WINDOW or (moment is Moment.EXTENDED and self.status is ContractStatus.EXTENDED):
                break
            happened.append(self._end(current))
        return happened

    def _open_window(self, current: ServicePeriod, now: datetime) -> list[Happening]:
        if current.expiring_told_at is not None:
            return []
        current.expiring_told_at = now
        opened: list[Happening] = [WindowOpened(current, current.standing_choice)]
        # Found after the end, a standing renewal could not be paid in time any more: no fee is asked for.
        if current.choice is Choice.RENEW and now < current.closes_at:
            return opened + self._request_renewal()
        return opened

    def _request_renewal(self) -> list[Happening]:
        following = self.next_period
        if following is None or following.status is not PeriodStatus.PLANNED:
            return []
        following.request()
        return [RenewalRequested(following)]

    def _request_again(self) -> list[Happening]:
        """The fee of the next period is asked for anew: with the end of the service its invoice had ended."""
        following = self.next_period
        if following is not None and following.status is PeriodStatus.AWAITING_PAYMENT:
            return [RenewalRequested(following)]
        return self._request_renewal()

    def _end(self, current: ServicePeriod) -> Happening:
        following = self.next_period
        if following is not None and following.status is PeriodStatus.PAID:
            return self._begin_or_end(current, following)
        if current.extended_until is not None and self.status is ContractStatus.ACTIVE:
            return self._extend(current)
        waiting = self._waiting_payments()
        if waiting:
            return self._hold(waiting[0])
        stopped = current.choice is Choice.STOP
        reason = EndReason.STOPPED_BY_CUSTOMER if stopped else EndReason.NOT_RENEWED
        return self._expire(current, current.closes_at, reason)

    def _begin_or_end(self, current: ServicePeriod, following: ServicePeriod) -> Happening:
        """What was paid and has been refunded since does not begin."""
        if following.refund_id is None or following.refunded_at is None:
            return self._begin(following)
        ended_at = max(following.refunded_at, current.ends_at)
        return self._refund(following.refund_id, following.index, following.refunded_at, ended_at)

    def _begin(self, following: ServicePeriod) -> Happening:
        self.current_index = following.index
        self.agreement_version = following.agreement_version
        self.plan = following.plan
        return PeriodBegan(following)

    def _expire(self, current: ServicePeriod, ended_at: datetime, reason: EndReason) -> Happening:
        self.status = CONTRACT_LIFECYCLE.after("expire", self.status)
        self.ended_at, self.end_reason = ended_at, reason
        return Expired(current, ended_at, reason)

    def _hold(self, payment: Payment) -> Happening:
        assert self.current is not None
        self.status = CONTRACT_LIFECYCLE.after("hold", self.status)
        self.ended_at = self.end_reason = None
        return Held(self.current, payment)

    def _extend(self, current: ServicePeriod) -> Happening:
        self.status = CONTRACT_LIFECYCLE.after("extend", self.status)
        self.ended_at = self.end_reason = None
        return Extended(current)

    def _hear_covered(self, payment: Payment, window_days: int, servers_free: bool) -> list[Happening]:
        if self.status is ContractStatus.AWAITING_PAYMENT and payment.period_index == 1:
            return [self._register(payment, window_days)]
        current, following = self.current, self.next_period
        if current is None or following is None or payment.period_index != following.index:
            return [PaymentUnneeded(payment, str(self.status))]
        if self.status is ContractStatus.REFUNDED or following.status is not PeriodStatus.AWAITING_PAYMENT:
            return [PaymentUnneeded(payment, str(self.status))]
        in_time = payment.reported_at < current.closes_at
        if self.status is ContractStatus.EXPIRED and not (in_time and servers_free):
            return [PaidTooLate(payment, current.closes_at, servers_taken=in_time)]
        if not in_time and self.status in RUNNING:
            return [PaidTooLate(payment, current.closes_at, servers_taken=False)]
        return self._renew_paid(following, payment)

    def _renew_paid(self, following: ServicePeriod, payment: Payment) -> list[Happening]:
        heard: list[Happening] = []
        if self.status is ContractStatus.EXPIRED:
            heard.append(self._hold(payment))
        following.pay(payment.id)
        assert self.current is not None
        held, closed_at = self.status is ContractStatus.HELD, self.current.closes_at
        heard.append(Renewed(following, payment, held, closed_at))
        if self.status in {ContractStatus.HELD, ContractStatus.EXTENDED}:
            self.status = CONTRACT_LIFECYCLE.after("release", self.status)
            heard.append(self._begin(following))
        return heard

    def _register(self, payment: Payment, window_days: int) -> Happening:
        assert payment.audited_at is not None
        assert self.acceptance_id is not None
        self.status = CONTRACT_LIFECYCLE.after("register", self.status)
        period = Period.first(payment.audited_at, months=self.plan.term_months, zone=self.zone)
        first = ServicePeriod(
            period=period,
            window=period.window(window_days),
            status=PeriodStatus.AWAITING_PAYMENT,
            agreement_version=self.agreement_version,
            acceptance_id=self.acceptance_id,
            plan=self.plan,
        )
        first.pay(payment.id)
        self.periods[1] = first
        self.current_index = 1
        return Registered(first, payment)

    def _end_hold_without_payment(self, decided: Payment) -> list[Happening]:
        if self.status is not ContractStatus.HELD or self._waiting_payments():
            return []
        assert self.current is not None
        ended_at = max(self.current.closes_at, decided.audited_at or self.current.closes_at)
        return [self._expire(self.current, ended_at, EndReason.PAYMENT_NOT_APPROVED)]

    def _waiting_payments(self) -> list[Payment]:
        """Payments for the next period, reported before the present one closes and still in audit, oldest first."""
        waiting = [payment for payment in self.payments.values() if payment.in_audit and self._could_renew(payment)]
        return sorted(waiting, key=lambda payment: (payment.reported_at, payment.id))

    def _could_renew(self, payment: Payment) -> bool:
        current, following = self.current, self.next_period
        return (
            current is not None
            and following is not None
            and following.status is PeriodStatus.AWAITING_PAYMENT
            and payment.period_index == following.index
            and payment.reported_at < current.closes_at
        )

    def _not_registered(self) -> Refusal:
        detail = f"The contract is {self.status}."
        return NotRegistered(detail, agreement_version=self.agreement_version, state=str(self.status))
