"""What a refund does to a contract, whatever comes before, after or in between."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest

from services.contracts.domain.contract import Contract, ContractStatus
from services.contracts.domain.decision_table import AfterTheEnd, Matter, NothingToExtend
from services.contracts.domain.happening import EndReason, Refunded
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id
from tests.contracts.domain.builders import (
    END,
    IN_WINDOW,
    MOMENT,
    SECOND_END,
    START,
    a_held_contract,
    a_renewing_contract,
    an_active_contract,
    an_audited,
    hear_audit,
    names,
)

REFUND = new_id()
RELEASED = IN_WINDOW + timedelta(hours=5)


def a_paid_renewal() -> Contract:
    """In the window, the next period paid."""
    contract = a_renewing_contract()
    hear_audit(contract, an_audited(reported_at=IN_WINDOW, audited_at=IN_WINDOW))
    return contract


def test_the_release_ends_the_service_and_its_servers_are_free() -> None:
    contract = an_active_contract()
    assert names(contract.hear_refund(REFUND, 1, RELEASED)) == ["PeriodRefunded", "Refunded"]
    assert (contract.status, contract.ended_at, contract.end_reason) == (
        ContractStatus.REFUNDED, RELEASED, EndReason.REFUNDED,
    )  # fmt: skip
    assert not contract.is_live
    assert contract.catch_up(SECOND_END) == []
    for matter in (Matter.RENEW, Matter.STOP):
        assert isinstance(contract.rule_on(matter, RELEASED + MOMENT).refusal, AfterTheEnd)


def test_a_period_that_has_not_begun_is_cut_off_and_the_present_one_served_to_its_end() -> None:
    contract = a_paid_renewal()
    assert names(contract.hear_refund(REFUND, 2, RELEASED)) == ["PeriodRefunded"]
    assert contract.catch_up(END - MOMENT) == []
    [ended] = contract.catch_up(END)
    assert isinstance(ended, Refunded)
    assert (ended.period.index, ended.refunded_index, ended.ended_at) == (1, 2, END)
    assert contract.status is ContractStatus.REFUNDED


@pytest.mark.parametrize("order", list(permutations(["audit", "refund", "time"])), ids="-".join)
def test_whatever_comes_first_a_refunded_service_has_ended(order: tuple[str, ...]) -> None:
    """The present period is refunded while a payment for the next is in audit, and the period ends."""
    contract, payment = a_renewing_contract(), an_audited(reported_at=END - MOMENT)
    heard = {
        "audit": lambda: hear_audit(contract, payment),
        "refund": lambda: contract.hear_refund(REFUND, 1, RELEASED),
        "time": lambda: contract.catch_up(END),
    }
    for name in order:
        heard[name]()
        contract.catch_up(END)
    assert contract.status is ContractStatus.REFUNDED
    assert contract.catch_up(SECOND_END) == []


def test_a_service_that_a_payment_in_audit_holds_ends_with_the_release() -> None:
    contract, payment = a_held_contract()
    contract.hear_refund(REFUND, 1, END + timedelta(hours=1))
    assert contract.ended_at == END + timedelta(hours=1)
    approved = an_audited(reported_at=payment.reported_at, payment_id=payment.id)
    assert names(hear_audit(contract, approved)) == ["PaymentUnneeded"]
    assert contract.status is ContractStatus.REFUNDED


def test_a_service_that_had_expired_keeps_its_end() -> None:
    contract = an_active_contract()
    contract.catch_up(END)
    contract.hear_refund(REFUND, 1, END + timedelta(days=9))
    assert (contract.status, contract.ended_at, contract.end_reason) == (
        ContractStatus.REFUNDED, END, EndReason.NOT_RENEWED,
    )  # fmt: skip


def test_it_never_ends_before_the_period_that_it_ends_in() -> None:
    """The word of it came late: another period had begun by then."""
    contract = a_paid_renewal()
    contract.catch_up(END)
    contract.hear_refund(REFUND, 1, RELEASED)
    assert (contract.current_index, contract.ended_at) == (2, END)


def test_a_second_refund_of_a_refunded_service_ends_nothing_more() -> None:
    contract = a_paid_renewal()
    contract.hear_refund(REFUND, 1, RELEASED)
    assert names(contract.hear_refund(new_id(), 2, RELEASED + MOMENT)) == ["PeriodRefunded"]
    assert contract.ended_at == RELEASED


def test_an_extension_does_not_bring_it_back() -> None:
    contract = an_active_contract()
    contract.explain(START + timedelta(days=1))
    contract.hear_refund(REFUND, 1, RELEASED)
    with pytest.raises(NothingToExtend):
        contract.extend(1, END + timedelta(days=9), RELEASED + MOMENT)


def test_an_extended_service_ends_with_the_release() -> None:
    contract = an_active_contract()
    contract.explain(START + timedelta(days=1))
    contract.extend(1, END + timedelta(days=9), START + timedelta(days=2))
    contract.catch_up(END)
    assert contract.status is ContractStatus.EXTENDED
    contract.hear_refund(REFUND, 1, END + timedelta(days=1))
    assert (contract.status, contract.ended_at) == (ContractStatus.REFUNDED, END + timedelta(days=1))
    assert contract.catch_up(END + timedelta(days=20)) == []


def test_a_refunded_contract_is_not_withdrawn_or_registered_again() -> None:
    contract = an_active_contract()
    contract.hear_refund(REFUND, 1, RELEASED)
    with pytest.raises(IllegalMove):
        contract._expire(contract.periods[1], END, EndReason.NOT_RENEWED)
