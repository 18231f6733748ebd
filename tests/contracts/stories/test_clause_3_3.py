"""3.3 Renewing and stopping: the customer decides within three days before the expiry."""

import asyncio
from datetime import datetime, timedelta

import pytest

from shared.events.contracts import (
    RenewalRequested,
    ServiceExpired,
    ServiceExpiring,
    ServiceHeld,
    ServiceRenewed,
    StopRequested,
)
from tests.contracts.stories.lifecycle import LifecycleStory as Story
from tests.contracts.story import END, HOUR, OPENS, SECOND_END, SECOND_OPENS, START, problem

MOMENT = timedelta(microseconds=1)
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ON_SQLITE
async def test_the_customer_is_reminded_once_when_the_three_days_begin(lifecycle: Story) -> None:
    """Given a service, when its last three days begin, then the customer is told, once in the period. Clause 3.3."""
    await lifecycle.active()
    await lifecycle.until(OPENS - HOUR)
    assert await lifecycle.told(ServiceExpiring) == []
    for hours in (0, 1, 2):
        await lifecycle.until(OPENS + hours * HOUR)
    [told] = await lifecycle.told(ServiceExpiring)
    assert (told.window_opens_at, told.ends_at, told.ends_at - told.window_opens_at) == (OPENS, END, 3 * 24 * HOUR)


@ON_SQLITE
async def test_what_may_be_decided_is_answered_by_the_clause(lifecycle: Story) -> None:
    """Given a service, when the window is read, then it says of all five matters what, when and by which clause."""
    await lifecycle.active()
    window = await lifecycle.window()
    assert (window["opens_at"], window["closes_at"]) == ("2030-02-25T12:00:00Z", "2030-02-28T12:00:00Z")
    assert (window["zone"], window["open"], window["period_index"]) == ("Europe/Berlin", False, 1)
    assert START <= datetime.fromisoformat(window["now"]) < OPENS
    assert await lifecycle.options() == {
        "renew": (True, "3.3", None),
        "stop": (True, "3.3", None),
        "extend": (True, "3.5", None),
        "withdraw": (False, "3.2", "NothingToWithdraw"),
        "refund": (True, "6.2", None),
    }
    await lifecycle.until(END)
    assert await lifecycle.options() == {
        "renew": (False, "3.3", "AfterTheEnd"),
        "stop": (False, "3.3", "AfterTheEnd"),
        "extend": (False, "3.5", "ExplainedTooLate"),
        "withdraw": (False, "3.2", "NothingToWithdraw"),
        "refund": (True, "6.2", None),
    }


@pytest.mark.parametrize("verb", ["renew", "stop"])
@ON_SQLITE
async def test_a_decision_made_earlier_is_kept_until_the_three_days_begin(lifecycle: Story, verb: str) -> None:
    """Given weeks to go, when the customer decides, then it stands, and takes effect with the window. Clause 3.3."""
    await lifecycle.active()
    assert (await lifecycle.do(verb)).status_code == 200
    await lifecycle.until(OPENS)
    [told] = await lifecycle.told(ServiceExpiring)
    assert told.standing_decision == verb
    assert len(await lifecycle.told(RenewalRequested if verb == "renew" else StopRequested)) == 1


async def test_of_two_decisions_at_once_one_wins_and_the_others_are_told_which_and_when(lifecycle: Story) -> None:
    """Given the window, when ten people decide at once, then one decides, and nine read what and when. Clause 3.3."""
    await lifecycle.active()
    await lifecycle.until(OPENS + HOUR)
    answers = await asyncio.gather(*(lifecycle.do(verb) for verb in ("stop", "renew") * 5))
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    lost = [answer for answer in answers if answer.status_code != 200]
    decision, decided_at = won["window"]["decision"], won["periods"][0]["decided_at"]
    assert [problem(answer) for answer in lost] == [(409, "AlreadyDecided", "3.3")] * 9
    for answer in lost:
        facts = answer.json()["facts"]
        assert facts["decision"] == decision
        assert datetime.fromisoformat(facts["decided_at"]) == datetime.fromisoformat(decided_at)
    [told] = await lifecycle.told(RenewalRequested, StopRequested)
    assert isinstance(told, RenewalRequested) is (decision == "renew")
    decided = [row for row in await lifecycle.decisions() if row[0] in {"contract.renew", "contract.stop"}]
    assert decided == [(f"contract.{decision}", "accepted", "3.3", "2026-1")]


@ON_SQLITE
async def test_a_renewal_paid_before_the_end_goes_on_without_a_gap(lifecycle: Story) -> None:
    """Given a renewal, when it is paid and audited in time, then the next period begins where this ends. Clause 3.3."""
    await lifecycle.renewing()
    await lifecycle.pays(2, reported_at=OPENS, audited_at=OPENS + HOUR)
    [renewed] = await lifecycle.told(ServiceRenewed)
    assert (renewed.starts_at, renewed.ends_at) == (END, SECOND_END)
    await lifecycle.until(SECOND_OPENS)
    assert [told.period_index for told in await lifecycle.told(ServiceExpiring)] == [1, 2]
    assert await lifecycle.told(ServiceExpired) == []


@ON_SQLITE
async def test_a_payment_still_in_audit_at_the_end_holds_the_service_until_it_is_decided(lifecycle: Story) -> None:
    """Given a payment reported a moment before the end, when that passes, then the service is held. Clause 3.3."""
    await lifecycle.renewing()
    payment = await lifecycle.reports(2, reported_at=END - MOMENT)
    await lifecycle.until(END + 40 * 24 * HOUR)
    assert (await lifecycle.status(), len(await lifecycle.told(ServiceHeld))) == ("held", 1)
    assert (await lifecycle.options())["renew"] == (False, "3.3", "AfterTheEnd")
    await lifecycle.audits(payment, 2, reported_at=END - MOMENT, audited_at=END + 40 * 24 * HOUR, approved=False)
    [expired] = await lifecycle.told(ServiceExpired)
    assert (expired.reason, expired.ended_at) == ("payment-not-approved", END + 40 * 24 * HOUR)


@ON_SQLITE
async def test_the_anchor_day_is_kept_through_february(lifecycle: Story) -> None:
    """Given a start on 31 January, then February ends it on the 28th, and March again on the 31st. Clause 3.3."""
    await lifecycle.active()
    assert (START.day, END.day, SECOND_END.day) == (31, 28, 31)
    await lifecycle.until(OPENS)
    await lifecycle.do("renew")
    periods = (await lifecycle.shown())["periods"]
    assert [(period["ends_at"], period["anchor_day"]) for period in periods] == [
        ("2030-02-28T12:00:00Z", 31),
        ("2030-03-31T11:00:00Z", 31),  # noon in Berlin, by summer time
    ]
