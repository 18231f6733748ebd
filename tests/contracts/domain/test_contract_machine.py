"""A contract in the hands of everybody: whatever is done to it, it stays in its table and keeps its promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.contracts.domain.contract import CONTRACT_LIFECYCLE, RUNNING, ContractStatus
from services.contracts.domain.decision_table import Matter, Moment
from services.contracts.domain.extension import Span
from services.contracts.domain.happening import (
    Expired,
    Extended,
    Happening,
    Held,
    PeriodBegan,
    Registered,
    Renewed,
    WindowOpened,
)
from services.contracts.domain.payment import Payment, Verdict
from services.contracts.domain.period import Choice, PeriodStatus
from shared.kernel.errors import Refusal
from shared.kernel.ids import new_id
from tests.contracts.domain.builders import WINDOW_DAYS, a_contract, an_acceptance, renew

START = datetime.fromisoformat("2030-01-31T12:00:00+00:00")
MOVES = {(source, move.target) for move in CONTRACT_LIFECYCLE.moves for source in move.sources}
HELD = ContractStatus.HELD


class AnyContract(RuleBasedStateMachine):
    """Time only passes by being looked at; every step is what a command, a timer or an event does."""

    def __init__(self) -> None:
        super().__init__()
        self.contract = a_contract()
        self.now = START
        self.seen = self.contract.status
        self.happened: list[Happening] = []
        self.begun: list[int] = []
        self.reported: list[Payment] = []

    @initialize(stage=st.sampled_from(["renewing", "explained", "granted", "active", "extended", "draft"]))
    def begin(self, stage: str) -> None:
        """The further on, the more can happen."""
        if stage == "draft":
            return
        self.contract.accept(an_acceptance(self.contract))
        self.hear(Payment(id=new_id(), period_index=1, reported_at=self.now), Verdict.APPROVED, covers=True)
        if stage == "granted":
            self.contract.explain(self.now)
            self.note(self.contract.extend(1, self.contract.present().ends_at + timedelta(days=9), self.now))
        if stage in {"active", "granted"}:
            return
        self.now = self.contract.present().window.opens_at
        self.note(self.contract.catch_up(self.now) + renew(self.contract, self.now))
        if stage == "renewing":
            return
        self.contract.explain(self.now)
        if stage == "extended":
            self.note(self.contract.extend(1, self.contract.present().ends_at + timedelta(days=9), self.now))

    def hear(self, reported: Payment, verdict: Verdict, *, covers: bool) -> None:
        covers = covers and verdict is Verdict.APPROVED
        payment = replace(reported, verdict=verdict, covers=covers, audited_at=self.now)
        heard = self.contract.hear_audit(payment, window_days=WINDOW_DAYS, servers_free=True)
        self.note(heard + self.contract.catch_up(self.now))

    def note(self, happened: list[Happening]) -> None:
        """Each status that a happening leads to is reached by a move of the table."""
        self.happened += happened
        for one in happened:
            if isinstance(one, Registered):
                self.begun.append(one.period.index)
            if isinstance(one, PeriodBegan):
                self.begun.append(one.period.index)

    def try_to(self, matter: Matter, work: Callable[[], list[Happening] | None]) -> None:
        """What is not allowed is refused and changes nothing; what is allowed is done."""
        ruling, before = self.contract.rule_on(matter, self.now), vars(self.contract).copy()
        refused: Refusal | None = None
        try:
            self.note(work() or [])
        except Refusal as refusal:
            refused = refusal
        if refused is None:
            assert ruling.allowed
            return
        assert ruling.refusal is not None
        assert (refused.code(), refused.cited_clause) == (ruling.refusal.code(), ruling.clause)
        assert vars(self.contract) == before

    @rule(step=st.sampled_from([timedelta(hours=5), timedelta(days=1), timedelta(days=9), timedelta(days=40)]))
    def time_passes(self, step: timedelta) -> None:
        self.now += step
        self.note(self.contract.catch_up(self.now))

    @rule()
    def wait_for_the_next_instant_that_matters(self) -> None:
        current = self.contract.current
        if current is not None:
            ahead = [at for at in (current.window.opens_at, current.ends_at, current.closes_at) if at > self.now]
            self.now = min(ahead, default=self.now)
        self.note(self.contract.catch_up(self.now))

    @precondition(lambda self: self.contract.status is ContractStatus.DRAFT)
    @rule()
    def accept(self) -> None:
        self.contract.accept(an_acceptance(self.contract))

    @precondition(lambda self: self.contract.status is not ContractStatus.WITHDRAWN)
    @rule()
    def withdraw(self) -> None:
        self.try_to(Matter.WITHDRAW, lambda: self.contract.withdraw(self.now))

    @rule()
    def decide_to_renew(self) -> None:
        self.try_to(Matter.RENEW, lambda: renew(self.contract, self.now))

    @rule()
    def decide_to_stop(self) -> None:
        self.try_to(Matter.STOP, lambda: self.contract.stop(self.now))

    @rule()
    def explain(self) -> None:
        def explain() -> None:
            self.contract.explain(self.now)

        self.try_to(Matter.EXTEND, explain)

    @precondition(lambda self: self.contract.current is not None and self.contract.current.explained_at is not None)
    @rule(days=st.integers(0, 31), granted=st.booleans())
    def answer(self, days: int, granted: bool) -> None:
        current = self.contract.current
        assert current is not None
        if current.extended_until is not None:
            return
        if not granted:
            self.contract.refuse_extension(current.index)
            return
        span = Span(current.period, longest_days=30, paid_until=current.period.next().ends_at)
        try:
            until = span.end_of(span.first_day + timedelta(days=days), self.now, agreement_version="2026-1")
            self.note(self.contract.extend(current.index, until, self.now))
        except Refusal:
            return

    @precondition(lambda self: self.contract.current_index > 0)
    @rule(early=st.timedeltas(timedelta(), timedelta(days=5)), ahead=st.sampled_from([1, 1, 1, 0, 2]))
    def report(self, early: timedelta, ahead: int) -> None:
        """Word of it may come late."""
        index = self.contract.current_index + ahead
        payment = Payment(id=new_id(), period_index=index, reported_at=self.now - early)
        self.reported.append(payment)
        self.note(self.contract.hear_report(payment, servers_free=True) + self.contract.catch_up(self.now))

    @precondition(lambda self: self.contract.current_index > 0)
    @rule()
    def pay_in_full(self) -> None:
        payment = Payment(id=new_id(), period_index=self.contract.current_index + 1, reported_at=self.now)
        self.hear(payment, Verdict.APPROVED, covers=True)

    @precondition(lambda self: self.reported)
    @rule(
        chosen=st.integers(0, 99),
        verdict=st.sampled_from([Verdict.APPROVED, Verdict.APPROVED, Verdict.REJECTED]),
        covers=st.sampled_from([True, True, False]),
        again=st.booleans(),
    )
    def audit(self, chosen: int, verdict: Verdict, covers: bool, again: bool) -> None:
        for _ in range(2 if again else 1):
            self.hear(self.reported[-1 - chosen % len(self.reported)], verdict, covers=covers)

    @invariant()
    def a_begun_period_is_paid_and_each_payment_pays_one(self) -> None:
        assert self.begun == list(range(1, len(self.begun) + 1)), "one after the other"
        paid = [one.payment.id for one in self.happened if isinstance(one, Registered | Renewed)]
        assert len(paid) == len(set(paid))
        assert len(self.begun) <= len(paid)
        current = self.contract.current
        assert current is None or current.status is PeriodStatus.PAID

    @invariant()
    def a_renewal_was_paid_in_time_or_while_a_payment_held_the_service(self) -> None:
        for one in self.happened:
            assert not isinstance(one, Renewed) or one.held or one.payment.reported_at < one.closed_at
            assert not isinstance(one, Held) or one.payment.reported_at < one.period.closes_at

    @invariant()
    def who_stopped_is_not_extended(self) -> None:
        current = self.contract.current
        if current is not None and current.choice is Choice.STOP:
            assert self.contract.status is not ContractStatus.EXTENDED

    @invariant()
    def expiring_is_told_once_per_period(self) -> None:
        told = Counter(one.period.index for one in self.happened if isinstance(one, WindowOpened))
        assert set(told.values()) <= {1}

    @invariant()
    def nobody_is_served_unpaid_beyond_an_extension_or_an_audit(self) -> None:
        contract, current = self.contract, self.contract.current
        if contract.status not in RUNNING | {HELD}:
            return
        assert current is not None
        if contract.status is HELD:
            assert any(
                payment.in_audit
                and payment.period_index == current.index + 1
                and payment.reported_at < current.closes_at
                for payment in contract.payments.values()
            ), "nothing is in audit that could hold it"
        else:
            assert self.now < current.closes_at
            assert (self.now >= current.ends_at) is (contract.status is ContractStatus.EXTENDED)

    @invariant()
    def looking_again_changes_nothing(self) -> None:
        assert self.contract.catch_up(self.now) == []

    @invariant()
    def an_extension_was_explained_in_time_and_ends_before_it_is_paid_for(self) -> None:
        for period in self.contract.periods.values():
            if period.extended_until is not None:
                assert period.explained_at is not None
                assert period.explained_at < period.ends_at < period.extended_until < period.period.next().ends_at

    @invariant()
    def periods_tile(self) -> None:
        current, following = self.contract.current, self.contract.next_period
        if current is not None and following is not None:
            assert following.starts_at == current.ends_at

    @invariant()
    def an_end_has_a_reason_and_is_in_the_past(self) -> None:
        expired = self.contract.status is ContractStatus.EXPIRED
        assert (self.contract.ended_at is not None) is expired
        assert (self.contract.end_reason is not None) is expired
        if self.contract.ended_at is not None:
            assert self.contract.ended_at <= self.now

    @invariant()
    def the_contract_is_where_its_table_leads(self) -> None:
        """Over a step that may take several moves."""
        reachable, before = {self.seen}, set[ContractStatus]()
        while reachable != before:
            before = set(reachable)
            reachable |= {target for source, target in MOVES if source in before}
        assert self.contract.status in reachable
        self.seen = self.contract.status

    @invariant()
    def the_table_answers_at_every_moment(self) -> None:
        assert self.contract.moment_at(self.now) in Moment
        assert all(self.contract.rule_on(matter, self.now).clause for matter in Matter)

    def teardown(self) -> None:
        last: dict[int, str] = {}
        for one in self.happened:
            if isinstance(one, Held | Extended | Expired):
                last[one.period.index] = type(one).__name__
        if self.contract.status is ContractStatus.EXPIRED:
            assert last[self.contract.current_index] == "Expired"


AnyContract.TestCase.settings = settings(
    max_examples=250,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyContract = AnyContract.TestCase
