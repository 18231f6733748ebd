"""An extension: who answers it, for which days, and what it does to the contract."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.contracts.domain.contract import Contract, ContractStatus
from services.contracts.domain.decision_table import AlreadyDecided, AlreadyExplained, ExplainedTooLate, NothingToExtend
from services.contracts.domain.extension import (
    EXTENSION_LIFECYCLE,
    AlreadyAnswered,
    Extension,
    ExtensionOutOfRange,
    ExtensionStatus,
    OwnExplanation,
    Span,
    approving,
    extending,
    recording,
)
from services.contracts.domain.happening import EndReason, Expired
from services.contracts.domain.payment import Verdict
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id
from shared.kernel.judgement import Facts
from shared.kernel.period import Period
from tests.contracts.domain.builders import (
    END,
    IN_WINDOW,
    MOMENT,
    SECOND_END,
    a_held_contract,
    a_renewing_contract,
    a_reported,
    an_active_contract,
    an_audited,
    hear_audit,
    names,
    renew,
)

DAY = timedelta(days=1)
UNTIL = END + 10 * DAY
S, X = ContractStatus, ExtensionStatus
MOVES = {("approve", X.REQUESTED): X.APPROVED, ("refuse", X.REQUESTED): X.REFUSED}


def an_extension(contract: Contract | None = None, *, by: str = "ada") -> Extension:
    contract = contract or an_active_contract()
    return Extension(
        id=new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        period_index=1,
        agreement_version="2026-1",
        period_ends_at=END,
        zone="UTC",
        reason="A flood.",
        wished_until_on=None,
        channel="portal",
        requested_by=by,
        requested_at=IN_WINDOW,
    )


def a_span(period: Period | None = None, *, days: int = 30) -> Span:
    period = period or an_active_contract().present().period
    return Span(period, longest_days=days, paid_until=period.next().ends_at)


def an_extended_contract() -> Contract:
    """Past END, carried on until UNTIL, the renewal asked for and not paid."""
    contract = a_renewing_contract()
    contract.explain(IN_WINDOW)
    assert contract.extend(1, UNTIL, IN_WINDOW) == []
    assert names(contract.catch_up(END)) == ["Extended"]
    assert contract.status is S.EXTENDED
    return contract


@pytest.mark.parametrize("status", X)
@pytest.mark.parametrize("verb", EXTENSION_LIFECYCLE.verbs)
def test_an_extension_moves_by_its_table_and_no_other_way(verb: str, status: ExtensionStatus) -> None:
    if (verb, status) in MOVES:
        assert EXTENSION_LIFECYCLE.after(verb, status) is MOVES[verb, status]
    else:
        with pytest.raises(IllegalMove):
            EXTENSION_LIFECYCLE.after(verb, status)


def test_it_is_answered_once_and_by_somebody_else() -> None:
    extension = an_extension(by="ada")
    with pytest.raises(OwnExplanation):
        extension.approve(a_span(), date(2030, 2, 20), by="ada", now=IN_WINDOW)
    with pytest.raises(OwnExplanation):
        extension.refuse("No.", by="ada", now=IN_WINDOW)
    extension.refuse("No.", by="grace", now=IN_WINDOW)
    with pytest.raises(AlreadyAnswered) as refused:
        extension.approve(a_span(), date(2030, 2, 20), by="linus", now=IN_WINDOW)
    assert refused.value.facts == {"decision": "refused", "decided_at": IN_WINDOW.isoformat()}


@pytest.mark.parametrize(
    ("until_on", "allowed"),
    [
        (date.min, False),
        (date(2030, 2, 9), False),
        (date(2030, 2, 10), True),  # the rest of the day on which the period ends
        (date(2030, 3, 9), True),
        (date(2030, 3, 10), False),  # the day on which the next period would end
        (date.max, False),
    ],
)
def test_an_extension_ends_before_the_period_that_pays_for_it(until_on: date, allowed: bool) -> None:
    extension = an_extension()
    if not allowed:
        with pytest.raises(ExtensionOutOfRange) as refused:
            extension.approve(a_span(), until_on, by="grace", now=IN_WINDOW)
        assert (refused.value.field, refused.value.cited_clause) == ("until_on", "3.5")
        assert extension.status is X.REQUESTED
        return
    until = extension.approve(a_span(), until_on, by="grace", now=IN_WINDOW)
    assert END < until < SECOND_END


def test_the_longest_extension_counts_calendar_days_of_the_zone() -> None:
    start = datetime(2030, 1, 1, 23, 30, tzinfo=UTC)  # 2 January in Shanghai
    span = a_span(Period.first(start, months=12, zone="Asia/Shanghai"), days=30)
    assert (span.first_day, span.last_day) == (date(2031, 1, 2), date(2031, 2, 1))
    assert a_span(span.period, days=10).last_day == date(2031, 1, 12)


def test_a_day_that_is_over_cannot_be_granted_any_more() -> None:
    with pytest.raises(ExtensionOutOfRange):
        an_extension().approve(a_span(), date(2030, 2, 20), by="grace", now=datetime(2030, 2, 21, tzinfo=UTC))


def test_circumstances_are_explained_once_and_again_after_a_refusal() -> None:
    contract = an_active_contract()
    contract.explain(IN_WINDOW)
    with pytest.raises(AlreadyExplained):
        contract.explain(IN_WINDOW)
    contract.refuse_extension(1)
    contract.explain(IN_WINDOW)
    with pytest.raises(ExplainedTooLate):
        an_active_contract().explain(END)


def test_what_is_paid_or_stopped_is_not_extended() -> None:
    paid = a_renewing_contract()
    paid.explain(IN_WINDOW)
    hear_audit(paid, an_audited(reported_at=IN_WINDOW))
    with pytest.raises(NothingToExtend):
        paid.extend(1, UNTIL, IN_WINDOW)
    paid.catch_up(END)
    with pytest.raises(NothingToExtend):
        paid.extend(1, UNTIL, END)
    stopped = an_active_contract()
    stopped.explain(IN_WINDOW)
    stopped.stop(IN_WINDOW)
    stopped.catch_up(END)
    with pytest.raises(AlreadyDecided) as refused:
        stopped.extend(1, UNTIL, END)
    assert (refused.value.facts["decision"], refused.value.cited_clause) == ("stop", "3.5")


def test_at_its_end_without_a_payment_the_service_expires() -> None:
    contract = an_extended_contract()
    assert contract.catch_up(UNTIL - MOMENT) == []
    assert contract.catch_up(UNTIL) == [Expired(contract.periods[1], UNTIL, EndReason.NOT_RENEWED)]


def test_a_jump_over_it_begins_and_ends_it() -> None:
    contract = an_active_contract()
    contract.explain(IN_WINDOW)
    contract.extend(1, UNTIL, IN_WINDOW)
    assert names(contract.catch_up(UNTIL + DAY)) == ["WindowOpened", "Extended", "Expired"]
    assert contract.ended_at == UNTIL


def test_a_payment_in_it_renews_from_the_end_of_the_period() -> None:
    contract = an_extended_contract()
    happened = hear_audit(contract, an_audited(reported_at=UNTIL - MOMENT, audited_at=UNTIL + DAY))
    assert names(happened) == ["Renewed", "PeriodBegan"]
    assert (contract.present().starts_at, contract.status) == (END, S.ACTIVE)


def test_a_payment_after_it_is_too_late() -> None:
    contract = an_extended_contract()
    assert names(hear_audit(contract, an_audited(reported_at=UNTIL))) == ["PaidTooLate"]
    assert names(contract.catch_up(UNTIL)) == ["Expired"]


def test_a_payment_in_audit_at_its_end_holds() -> None:
    contract = an_extended_contract()
    payment = a_reported(reported_at=UNTIL - MOMENT)
    contract.hear_report(payment, servers_free=True)
    assert names(contract.catch_up(UNTIL)) == ["Held"]
    rejected = an_audited(
        reported_at=payment.reported_at, audited_at=UNTIL + DAY, verdict=Verdict.REJECTED, payment_id=payment.id
    )
    hear_audit(contract, rejected)
    assert (contract.status, contract.ended_at) == (S.EXPIRED, UNTIL + DAY)


def test_a_rejected_payment_leaves_it_as_it_is() -> None:
    contract = an_extended_contract()
    hear_audit(contract, an_audited(reported_at=END, verdict=Verdict.REJECTED))
    assert contract.status is S.EXTENDED


def test_renewing_in_it_asks_for_the_fee_at_once() -> None:
    contract = an_active_contract()
    contract.explain(IN_WINDOW)
    contract.extend(1, UNTIL, IN_WINDOW)
    contract.catch_up(END)
    assert names(renew(contract, UNTIL - MOMENT)) == ["ChoiceKept", "RenewalRequested"]


@pytest.mark.parametrize("held", [True, False])
def test_granted_after_the_end_it_brings_the_service_back(held: bool) -> None:
    contract = a_held_contract()[0] if held else a_renewing_contract()
    contract.catch_up(END)
    happened = contract.extend(1, UNTIL, END + DAY)
    assert contract.status is S.EXTENDED
    assert contract.ended_at is None
    # A held service has never ended, and its invoice is still there.
    assert names(happened) == (["Extended"] if held else ["Extended", "RenewalRequested"])


def test_stopping_before_it_begins_ends_the_service_with_the_period() -> None:
    contract = an_active_contract()
    contract.explain(IN_WINDOW)
    contract.extend(1, UNTIL, IN_WINDOW)
    contract.stop(IN_WINDOW)
    assert contract.catch_up(END)[-1] == Expired(contract.periods[1], END, EndReason.STOPPED_BY_CUSTOMER)


def test_stopping_in_it_ends_the_service_at_once() -> None:
    contract = an_active_contract()
    contract.explain(IN_WINDOW)
    contract.extend(1, UNTIL, IN_WINDOW)
    contract.catch_up(END)
    assert names(contract.stop(END + DAY)) == ["ChoiceKept", "Expired"]
    assert (contract.ended_at, contract.end_reason) == (END + DAY, EndReason.STOPPED_BY_CUSTOMER)


# Judged again from what was kept

IN_TIME: Facts = {
    "explained_at": IN_WINDOW.isoformat(),
    "ends_at": END.isoformat(),
    "zone": "UTC",
    "own_explanation": False,
}
LATE: Facts = {**IN_TIME, "explained_at": END.isoformat()}
GRANTED: Facts = {"until_on": "2030-02-20", "extended_until": "2030-02-21T00:00:00+00:00"}
PARAMETERS: Facts = {"longest_extension_days": 30, "written_channels": ["portal"]}


@pytest.mark.parametrize(
    ("facts", "word", "clause"),
    [
        ({**IN_TIME, "channel": "portal"}, "recorded", "3.5"),
        ({**LATE, "channel": "portal"}, "refused", "3.5"),
        ({**IN_TIME, "channel": "phone"}, "refused", "3.1"),
    ],
)
def test_an_explanation_is_judged_by_its_channel_and_its_time(facts: Facts, word: str, clause: str) -> None:
    verdict = recording.judge(facts, PARAMETERS).verdict
    assert (verdict.word, verdict.clause) == (word, clause)


@pytest.mark.parametrize(
    ("facts", "longest", "word"),
    [
        ({**IN_TIME, **GRANTED}, 30, "approved"),
        ({**IN_TIME, **GRANTED}, 10, "approved"),
        ({**IN_TIME, **GRANTED}, 9, "refused"),
        ({**LATE, **GRANTED}, 30, "refused"),
        ({**IN_TIME, **GRANTED, "extended_until": "2030-02-22T00:00:00+00:00"}, 30, "refused"),
    ],
)
def test_a_grant_is_judged_by_the_longest_extension(facts: Facts, longest: int, word: str) -> None:
    judged = approving.judge(facts, {**PARAMETERS, "longest_extension_days": longest})
    assert judged.verdict.word == word
    assert judged.parameters == {"longest_extension_days": longest}


@pytest.mark.parametrize(("facts", "word"), [(IN_TIME, "extended"), (LATE, "expired")])
def test_a_service_goes_on_by_a_grant_of_what_was_explained_in_time(facts: Facts, word: str) -> None:
    more = {"extended_until": UNTIL.isoformat(), "now": END.isoformat()}
    assert extending.judge({**facts, **more}, {}).verdict.word == word
