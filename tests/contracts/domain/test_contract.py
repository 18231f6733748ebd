"""Every state × verb of a contract and its periods, and what happens when time passes or billing speaks."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.domain.contract import CONTRACT_LIFECYCLE, Contract, ContractStatus
from services.contracts.domain.decision_table import AfterTheEnd, AlreadyDecided, Matter, NotRegistered
from services.contracts.domain.happening import EndReason, Expired, Happening, PaidTooLate, Renewed, WindowOpened
from services.contracts.domain.payment import Verdict
from services.contracts.domain.period import PERIOD_LIFECYCLE, Choice, PeriodStatus
from shared.kernel.errors import IllegalMove, Refusal
from tests.contracts.domain.builders import (
    END,
    IN_WINDOW,
    MOMENT,
    OPENS,
    SECOND_END,
    START,
    a_contract,
    a_held_contract,
    a_renewing_contract,
    a_reported,
    an_accepted_contract,
    an_active_contract,
    an_audited,
    hear_audit,
    names,
    renew,
)

S = ContractStatus
MOVES = {
    ("accept", S.DRAFT): S.AWAITING_PAYMENT,
    ("register", S.AWAITING_PAYMENT): S.ACTIVE,
    ("withdraw", S.DRAFT): S.WITHDRAWN,
    ("withdraw", S.AWAITING_PAYMENT): S.WITHDRAWN,
    ("hold", S.ACTIVE): S.HELD,
    ("hold", S.EXTENDED): S.HELD,
    ("hold", S.EXPIRED): S.HELD,
    ("extend", S.ACTIVE): S.EXTENDED,
    ("extend", S.HELD): S.EXTENDED,
    ("extend", S.EXPIRED): S.EXTENDED,
    ("release", S.HELD): S.ACTIVE,
    ("release", S.EXTENDED): S.ACTIVE,
    ("expire", S.ACTIVE): S.EXPIRED,
    ("expire", S.EXTENDED): S.EXPIRED,
    ("expire", S.HELD): S.EXPIRED,
    ("refund", S.ACTIVE): S.REFUNDED,
    ("refund", S.EXTENDED): S.REFUNDED,
    ("refund", S.HELD): S.REFUNDED,
    ("refund", S.EXPIRED): S.REFUNDED,
}
P = PeriodStatus
PERIOD_MOVES = {("request", P.PLANNED): P.AWAITING_PAYMENT, ("pay", P.AWAITING_PAYMENT): P.PAID}


@pytest.mark.parametrize("status", S)
@pytest.mark.parametrize("verb", CONTRACT_LIFECYCLE.verbs)
def test_a_contract_moves_by_its_table_and_no_other_way(verb: str, status: ContractStatus) -> None:
    if (verb, status) in MOVES:
        assert CONTRACT_LIFECYCLE.after(verb, status) is MOVES[verb, status]
    else:
        with pytest.raises(IllegalMove):
            CONTRACT_LIFECYCLE.after(verb, status)


@pytest.mark.parametrize("status", P)
@pytest.mark.parametrize("verb", PERIOD_LIFECYCLE.verbs)
def test_a_period_moves_by_its_table_and_no_other_way(verb: str, status: PeriodStatus) -> None:
    if (verb, status) in PERIOD_MOVES:
        assert PERIOD_LIFECYCLE.after(verb, status) is PERIOD_MOVES[verb, status]
    else:
        with pytest.raises(IllegalMove):
            PERIOD_LIFECYCLE.after(verb, status)


# Registration (3.2)


def test_a_covering_approved_payment_registers_the_service_from_the_audit() -> None:
    contract = an_active_contract()
    assert contract.status is S.ACTIVE
    assert contract.present().starts_at == START
    assert contract.present().ends_at == END
    assert contract.present().window.opens_at == OPENS


@pytest.mark.parametrize(("verdict", "covers"), [(Verdict.REJECTED, False), (Verdict.APPROVED, False)])
def test_a_payment_that_does_not_cover_leaves_the_contract_awaiting_payment(verdict: Verdict, covers: bool) -> None:
    contract = an_accepted_contract()
    hear_audit(contract, an_audited(index=1, reported_at=START, verdict=verdict, covers=covers))
    assert contract.status is S.AWAITING_PAYMENT


def test_a_payment_for_a_withdrawn_contract_registers_nothing() -> None:
    contract = an_accepted_contract()
    contract.withdraw(START)
    assert names(hear_audit(contract, an_audited(index=1, reported_at=START))) == ["PaymentUnneeded"]
    assert contract.status is S.WITHDRAWN


def test_hearing_the_same_audit_twice_changes_nothing() -> None:
    contract = an_accepted_contract()
    payment = an_audited(index=1, reported_at=START)
    assert names(hear_audit(contract, payment)) == ["Registered"]
    assert hear_audit(contract, payment) == []
    assert contract.hear_report(a_reported(index=1, reported_at=START, payment_id=payment.id), servers_free=True) == []
    assert contract.payments[payment.id].verdict is Verdict.APPROVED


# The window (3.3)


@pytest.mark.parametrize(
    ("now", "standing", "refusal"),
    [
        (START, True, None),
        (OPENS - MOMENT, True, None),
        (OPENS, False, None),
        (END - MOMENT, False, None),
        (END, False, AfterTheEnd),
        (END + timedelta(days=400), False, AfterTheEnd),
    ],
)
@pytest.mark.parametrize("choice", Choice)
def test_a_decision_is_standing_before_the_window_binding_in_it_and_refused_from_the_end(
    choice: Choice, now: datetime, standing: bool, refusal: type[Refusal] | None
) -> None:
    ruling = an_active_contract().rule_on(Matter(choice), now)
    assert (ruling.standing, type(ruling.refusal) if ruling.refusal else None) == (standing, refusal)


@pytest.mark.parametrize("build", [a_contract, an_accepted_contract])
@pytest.mark.parametrize("choice", Choice)
def test_nothing_is_decided_before_registration(build: object, choice: Choice) -> None:
    contract = build()  # type: ignore[operator]
    with pytest.raises(NotRegistered) as refused:
        contract.rule_on(Matter(choice), START).enforce()
    assert refused.value.cited_clause == "3.1"


@pytest.mark.parametrize("first", Choice)
@pytest.mark.parametrize("second", Choice)
def test_in_the_window_the_first_decision_wins_and_the_second_is_told_which(first: Choice, second: Choice) -> None:
    contract = an_active_contract()
    contract.catch_up(IN_WINDOW)
    decide(contract, first, IN_WINDOW)
    with pytest.raises(AlreadyDecided) as refused:
        decide(contract, second, IN_WINDOW + MOMENT)
    assert refused.value.facts["decision"] == first
    assert refused.value.cited_clause == "3.3"


@pytest.mark.parametrize(("first", "second"), [(Choice.RENEW, Choice.STOP), (Choice.STOP, Choice.RENEW)])
def test_before_the_window_a_standing_decision_may_be_replaced(first: Choice, second: Choice) -> None:
    contract = an_active_contract()
    decide(contract, first, START)
    decide(contract, second, START + MOMENT)
    assert contract.present().choice is second
    assert (contract.next_period is not None) is (second is Choice.RENEW)


def test_before_the_window_the_same_decision_twice_is_refused() -> None:
    contract = an_active_contract()
    renew(contract, START)
    with pytest.raises(AlreadyDecided):
        renew(contract, START + MOMENT)


def test_a_standing_renewal_is_asked_for_when_the_window_opens() -> None:
    contract = an_active_contract()
    assert names(renew(contract, START)) == ["ChoiceKept"]
    assert contract.catch_up(OPENS - MOMENT) == []
    happened = contract.catch_up(OPENS)
    assert names(happened) == ["WindowOpened", "RenewalRequested"]
    assert isinstance(happened[0], WindowOpened)
    assert happened[0].standing is Choice.RENEW
    assert contract.catch_up(OPENS) == []


def test_a_standing_renewal_found_after_the_end_asks_for_no_fee() -> None:
    contract = an_active_contract()
    renew(contract, START)
    assert names(contract.catch_up(END)) == ["WindowOpened", "Expired"]


def test_a_renewal_in_the_window_is_asked_for_at_once() -> None:
    contract = an_active_contract()
    contract.catch_up(IN_WINDOW)
    assert names(renew(contract, IN_WINDOW)) == ["ChoiceKept", "RenewalRequested"]


def test_the_next_period_keeps_the_agreement_and_plan_it_was_accepted_with() -> None:
    contract = an_active_contract()
    contract.catch_up(IN_WINDOW)
    renew(contract, IN_WINDOW, version="2031-1")
    hear_audit(contract, an_audited(reported_at=IN_WINDOW))
    assert contract.agreement_version == "2026-1"
    contract.catch_up(END)
    assert contract.agreement_version == contract.present().agreement_version == "2031-1"


# The end (3.3, 3.4)


@pytest.mark.parametrize(
    ("choice", "reason"), [(None, EndReason.NOT_RENEWED), (Choice.STOP, EndReason.STOPPED_BY_CUSTOMER)]
)
def test_without_a_paid_renewal_the_service_expires_at_the_end(choice: Choice | None, reason: EndReason) -> None:
    contract = an_active_contract()
    if choice:
        contract.stop(START)
    assert names(contract.catch_up(END - MOMENT)) == ["WindowOpened"]
    happened = contract.catch_up(END + timedelta(days=1))
    assert happened == [Expired(contract.periods[1], END, reason)]
    assert contract.status is S.EXPIRED


def test_a_renewal_paid_before_the_end_continues_without_a_gap() -> None:
    contract = a_renewing_contract()
    assert names(hear_audit(contract, an_audited(reported_at=IN_WINDOW))) == ["Renewed"]
    assert contract.current_index == 1
    assert names(contract.catch_up(END)) == ["PeriodBegan"]
    assert contract.present().starts_at == END
    assert contract.present().ends_at == SECOND_END


def test_a_jump_over_several_ends_tells_everything_once_in_order() -> None:
    contract = a_renewing_contract()
    hear_audit(contract, an_audited(reported_at=IN_WINDOW))
    happened = contract.catch_up(SECOND_END + timedelta(days=365))
    assert names(happened) == ["PeriodBegan", "WindowOpened", "Expired"]
    assert happened[-1] == Expired(contract.periods[2], SECOND_END, EndReason.NOT_RENEWED)


def test_a_jump_over_window_and_end_tells_the_window_first() -> None:
    assert names(an_active_contract().catch_up(END)) == ["WindowOpened", "Expired"]


def test_a_payment_reported_before_the_end_and_still_in_audit_holds_the_service() -> None:
    contract, payment = a_held_contract()
    assert contract.status is S.HELD
    assert contract.catch_up(END + timedelta(days=9)) == []
    audited = an_audited(reported_at=payment.reported_at, audited_at=END + timedelta(days=10), payment_id=payment.id)
    assert names(hear_audit(contract, audited)) == ["Renewed", "PeriodBegan"]
    assert contract.present().starts_at == END


def test_a_payment_reported_at_the_end_does_not_hold() -> None:
    contract = a_renewing_contract()
    contract.hear_report(a_reported(reported_at=END), servers_free=True)
    assert names(contract.catch_up(END)) == ["Expired"]


@pytest.mark.parametrize(("verdict", "covers"), [(Verdict.REJECTED, False), (Verdict.APPROVED, False)])
def test_a_held_service_ends_when_its_payment_is_not_approved_in_full(verdict: Verdict, covers: bool) -> None:
    contract, payment = a_held_contract()
    decided_at = END + timedelta(days=1)
    happened = hear_audit(
        contract,
        an_audited(
            reported_at=payment.reported_at,
            audited_at=decided_at,
            verdict=verdict,
            covers=covers,
            payment_id=payment.id,
        ),
    )
    assert happened[-1] == Expired(contract.periods[1], decided_at, EndReason.PAYMENT_NOT_APPROVED)


def test_a_held_service_goes_on_while_another_payment_is_in_audit() -> None:
    contract = a_renewing_contract()
    first, second = a_reported(reported_at=END - MOMENT), a_reported(reported_at=END - MOMENT)
    contract.hear_report(first, servers_free=True)
    contract.hear_report(second, servers_free=True)
    contract.catch_up(END)
    rejected = an_audited(reported_at=END - MOMENT, verdict=Verdict.REJECTED, payment_id=first.id)
    assert names(hear_audit(contract, rejected)) == ["PaymentRejected"]
    assert contract.status is S.HELD


def test_word_of_a_payment_in_time_that_comes_after_the_end_brings_the_service_back() -> None:
    contract = a_renewing_contract()
    contract.catch_up(END + timedelta(hours=1))
    assert names(contract.hear_report(a_reported(reported_at=END - MOMENT), servers_free=True)) == ["Held"]
    assert contract.status is S.HELD
    assert contract.ended_at is None


def test_an_approval_in_time_that_is_heard_after_the_end_renews_without_a_gap() -> None:
    contract = a_renewing_contract()
    contract.catch_up(END + timedelta(hours=1))
    happened = hear_audit(contract, an_audited(reported_at=END - MOMENT))
    assert names(happened) == ["Held", "Renewed", "PeriodBegan"]
    assert contract.present().starts_at == END


def test_a_service_whose_servers_were_taken_meanwhile_stays_expired() -> None:
    contract = a_renewing_contract()
    contract.catch_up(END)
    assert contract.hear_report(a_reported(reported_at=END - MOMENT), servers_free=False) == []
    happened = hear_audit(contract, an_audited(reported_at=END - MOMENT), servers_free=False)
    assert isinstance(happened[0], PaidTooLate)
    assert happened[0].servers_taken
    assert contract.status is S.EXPIRED


@pytest.mark.parametrize("timer_ran", [True, False])
def test_a_payment_reported_after_the_end_renews_nothing(timer_ran: bool) -> None:
    contract = a_renewing_contract()
    if timer_ran:
        contract.catch_up(END)
    happened = hear_audit(contract, an_audited(reported_at=END)) + contract.catch_up(END + MOMENT)
    assert [name for name in names(happened) if name != "Expired"] == ["PaidTooLate"]
    assert contract.status is S.EXPIRED


@given(st.permutations(["report", "audit", "end"]), st.booleans(), st.sampled_from(["approved", "rejected"]))
def test_report_audit_and_end_lead_to_the_same_service_in_every_order(
    order: list[str], told_twice: bool, verdict: str
) -> None:
    contract = a_renewing_contract()
    payment = a_reported(reported_at=END - timedelta(hours=1))
    audited = an_audited(reported_at=payment.reported_at, verdict=Verdict(verdict), payment_id=payment.id)
    happened: list[Happening] = []
    for step in order * (2 if told_twice else 1):
        if step == "report":
            happened += contract.hear_report(payment, servers_free=True)
        elif step == "audit":
            happened += hear_audit(contract, audited)
        else:
            happened += contract.catch_up(END + timedelta(hours=2))
    happened += contract.catch_up(END + timedelta(hours=2))
    assert contract.status is (S.ACTIVE if verdict == "approved" else S.EXPIRED)
    assert sum(isinstance(one, Renewed) for one in happened) == (verdict == "approved")
    if verdict == "approved":
        assert contract.present().starts_at == END


@given(st.lists(st.timedeltas(timedelta(), timedelta(days=40)), min_size=1, max_size=12))
def test_however_often_and_late_one_looks_each_window_is_told_once(steps: list[timedelta]) -> None:
    contract = a_renewing_contract()
    hear_audit(contract, an_audited(reported_at=IN_WINDOW))
    now, happened = IN_WINDOW, list[Happening]()
    for step in steps:
        now += step
        happened += contract.catch_up(now)
    happened += contract.catch_up(SECOND_END)
    assert names(happened) == ["PeriodBegan", "WindowOpened", "Expired"]


def decide(contract: Contract, choice: Choice, now: datetime) -> list[Happening]:
    return renew(contract, now) if choice is Choice.RENEW else contract.stop(now)
