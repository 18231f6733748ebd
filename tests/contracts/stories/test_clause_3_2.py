"""3.2 Registration: the service is registered when finance has audited the payment, from that moment."""

from datetime import timedelta

import pytest

from shared.events.contracts import ServiceRegistered
from tests.contracts.stories.lifecycle import LifecycleStory as Story
from tests.contracts.story import END, HOUR, START, problem

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_the_service_begins_at_the_instant_of_the_audit(lifecycle: Story) -> None:
    """Given a payment reported an hour before, when finance approves it, then the period begins with the audit. 3.2."""
    await lifecycle.accepted()
    await lifecycle.until(START)
    payment = await lifecycle.pays(1, reported_at=START - HOUR, audited_at=START)
    [registered] = await lifecycle.told(ServiceRegistered)
    assert (registered.starts_at, registered.ends_at, registered.payment_id) == (START, END, payment)
    assert await lifecycle.status() == "active"
    assert (await lifecycle.decisions())[-1] == ("service.register", "registered", "3.2", "2026-1")


async def test_a_rejected_payment_leaves_the_contract_waiting_for_another(lifecycle: Story) -> None:
    """Given a payment, when finance rejects it, then nothing is registered, and the next one is. Clause 3.2."""
    await lifecycle.accepted()
    payment = await lifecycle.reports(1, reported_at=START - HOUR)
    await lifecycle.audits(payment, 1, reported_at=START - HOUR, audited_at=START, approved=False)
    assert (await lifecycle.status(), await lifecycle.told(ServiceRegistered)) == ("awaiting_payment", [])
    assert (await lifecycle.decisions())[-1][:3] == ("contract.payment", "rejected", "3.2")
    await lifecycle.pays(1, reported_at=START + HOUR, audited_at=START + 2 * HOUR)
    [registered] = await lifecycle.told(ServiceRegistered)
    assert registered.starts_at == START + 2 * HOUR


async def test_a_part_of_the_fee_registers_nothing(lifecycle: Story) -> None:
    """Given a payment that does not cover the invoice, when it is approved, then the contract goes on waiting. 3.2."""
    await lifecycle.accepted()
    payment = await lifecycle.reports(1, reported_at=START - HOUR)
    await lifecycle.audits(payment, 1, reported_at=START - HOUR, audited_at=START, covered=False)
    assert await lifecycle.status() == "awaiting_payment"
    await lifecycle.pays(1, reported_at=START, audited_at=START + HOUR)
    assert await lifecycle.status() == "active"


async def test_until_it_is_registered_a_contract_is_withdrawn_and_from_then_on_it_is_not(lifecycle: Story) -> None:
    """Given an accepted contract, then withdrawing is all that can be decided, and never once it is served. 3.2."""
    await lifecycle.accepted()
    assert {name for name, (allowed, *_) in (await lifecycle.options()).items() if allowed} == {"withdraw"}
    await lifecycle.pays(1, reported_at=START - HOUR, audited_at=START)
    answer = await lifecycle.do("withdraw")
    assert problem(answer) == (409, "NothingToWithdraw", "3.2")
    assert answer.json()["agreement_version"] == "2026-1"
    assert (await lifecycle.options())["withdraw"] == (False, "3.2", "NothingToWithdraw")


async def test_a_restart_after_the_expiry_is_a_new_purchase_with_a_period_of_its_own(lifecycle: Story) -> None:
    """Given an expired service, when the customer buys anew, then period 1 runs from the new audit. 3.2 and 3.3."""
    await lifecycle.active()
    expired = lifecycle.contract
    await lifecycle.until(END + 9 * 24 * HOUR)
    assert problem(await lifecycle.do("renew")) == (409, "AfterTheEnd", "3.3")
    audited_at = END + timedelta(days=10)
    await lifecycle.until(audited_at)
    await lifecycle.accepted()
    assert lifecycle.contract != expired
    await lifecycle.pays(1, reported_at=audited_at - HOUR, audited_at=audited_at)
    registered = (await lifecycle.told(ServiceRegistered))[-1]
    assert (registered.period_index, registered.starts_at) == (1, audited_at)
    assert [period["index"] for period in (await lifecycle.shown())["periods"]] == [1]
    lifecycle.contract = expired
    assert (await lifecycle.status(), (await lifecycle.shown())["ended_at"]) == ("expired", "2030-02-28T12:00:00Z")
