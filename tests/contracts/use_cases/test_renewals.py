"""Renew, stop, hold, expire: the end of a period in every order of things."""

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.contracts.db import agreements
from services.contracts.domain.agreement import Agreements, Language
from shared.events.contracts import (
    RenewalRefused,
    RenewalRequested,
    ServiceExpired,
    ServiceExpiring,
    ServiceHeld,
    ServiceRenewed,
    StopRequested,
)
from shared.kit.auth import Role
from shared.kit.timer_runner import TimerRunner
from tests.contracts.story import END, HOUR, OPENS, SECOND_END, SECOND_OPENS, START, Story, problem

MOMENT = timedelta(microseconds=1)


async def test_the_window_is_told_once_when_it_opens(story: Story) -> None:
    await story.active()
    await story.service.advance(to=OPENS - HOUR)
    assert await story.told(ServiceExpiring) == []
    for _ in range(3):
        await story.service.advance(to=await story.service.now() + HOUR)
    [fact] = await story.told(ServiceExpiring)
    assert (fact.period_index, fact.window_opens_at, fact.ends_at) == (1, OPENS, END)
    assert (fact.zone, fact.standing_decision) == ("Europe/Berlin", None)


async def test_the_window_says_what_may_be_decided_and_by_which_clause(story: Story) -> None:
    await story.active()
    path = f"/v1/contracts/{story.contract}/window"
    before = (await story.http.get(path)).json()
    assert [(option["decision"], option["allowed"], option["standing"]) for option in before["options"]] == [
        ("renew", True, True),
        ("stop", True, True),
        ("extend", True, False),
        ("withdraw", False, False),
        ("refund", True, False),
    ]
    await story.service.advance(to=OPENS)
    during = (await story.http.get(path)).json()
    assert (before["open"], during["open"], during["agreement_version"]) == (False, True, "2026-1")
    assert {(option["allowed"], option["standing"], option["clause"]) for option in coming(during)} == {
        (True, False, "3.3")
    }
    await story.do("stop")
    decided = (await story.http.get(path)).json()
    assert decided["decision"] == "stop"
    assert {option["refusal"] for option in coming(decided)} == {"AlreadyDecided"}
    await story.service.advance(to=END)
    after = (await story.http.get(path)).json()
    assert {option["refusal"] for option in coming(after)} == {"AfterTheEnd"}


async def test_there_is_no_window_before_registration(story: Story) -> None:
    await story.accepted()
    window = (await story.http.get(f"/v1/contracts/{story.contract}/window")).json()
    assert (window["opens_at"], window["closes_at"], window["open"]) == (None, None, False)
    assert [option["decision"] for option in window["options"] if option["allowed"]] == ["withdraw"]
    for verb in ("renew", "stop"):
        assert problem(await story.do(verb)) == (409, "NotRegistered", "3.1")


def coming(window: dict[str, Any]) -> list[dict[str, Any]]:
    """What may be decided about the time after the period."""
    return [option for option in window["options"] if option["decision"] in {"renew", "stop"}]


async def test_a_renewal_in_the_window_asks_for_the_fee_and_paid_continues_without_a_gap(story: Story) -> None:
    await story.renewing()
    [request] = await story.told(RenewalRequested)
    assert (request.period_index, request.starts_at, request.ends_at) == (2, END, SECOND_END)
    assert (request.fee.minor, request.mailing_fee.minor, request.term_months) == (24900, 500, 1)
    await story.pays(2, reported_at=OPENS, audited_at=OPENS + HOUR)
    [renewed] = await story.told(ServiceRenewed)
    assert (renewed.period_index, renewed.starts_at, renewed.ends_at) == (2, END, SECOND_END)
    assert (await story.shown())["current_period_index"] == 1
    await story.service.advance(to=END)
    shown = await story.shown()
    assert (shown["status"], shown["current_period_index"]) == ("active", 2)
    await story.service.advance(to=SECOND_OPENS)
    expiring = await story.told(ServiceExpiring)
    assert [(fact.period_index, fact.window_opens_at) for fact in expiring] == [(1, OPENS), (2, SECOND_OPENS)]


async def test_a_standing_renewal_is_kept_until_the_window_opens(story: Story) -> None:
    await story.active()
    answer = await story.do("renew")
    assert [(period["index"], period["status"]) for period in answer.json()["periods"]] == [(1, "paid"), (2, "planned")]
    assert await story.told(RenewalRequested) == []
    await story.service.advance(to=OPENS)
    assert (await story.names())[-2:] == ["ServiceExpiring", "RenewalRequested"]
    [expiring] = await story.told(ServiceExpiring)
    assert expiring.standing_decision == "renew"
    assert ("contract.renew", "accepted", "3.3", "2026-1") in await story.decisions()
    assert problem(await story.do("stop")) == (409, "AlreadyDecided", "3.3")


async def test_a_standing_stop_ends_the_service_with_the_period(story: Story) -> None:
    await story.active()
    await story.do("stop")
    await story.service.advance(to=END + HOUR)
    [expiring] = await story.told(ServiceExpiring)
    [stop] = await story.told(StopRequested)
    [expired] = await story.told(ServiceExpired)
    assert (expiring.standing_decision, stop.ends_at) == ("stop", END)
    assert (expired.reason, expired.ended_at, expired.retention_days) == ("stopped-by-customer", END, 30)
    assert ("service.expire", "expired", "3.3", "2026-1") in await story.decisions()


async def test_a_standing_decision_may_be_changed_until_the_window_opens(story: Story) -> None:
    await story.active()
    for verb in ("renew", "stop", "renew"):
        assert (await story.do(verb)).status_code == 200
    await story.do("stop")
    assert [period["index"] for period in (await story.shown())["periods"]] == [1]
    await story.service.advance(to=END)
    assert await story.told(RenewalRequested) == []


@pytest.mark.parametrize(("first", "second"), list(itertools.product(["renew", "stop"], repeat=2)))
async def test_in_the_window_the_second_decision_is_told_the_first(story: Story, first: str, second: str) -> None:
    await story.active()
    await story.service.advance(to=OPENS)
    assert (await story.do(first)).status_code == 200
    answer = await story.do(second)
    assert problem(answer) == (409, "AlreadyDecided", "3.3")
    assert answer.json()["facts"]["decision"] == first
    assert answer.json()["agreement_version"] == "2026-1"


async def test_renewing_and_stopping_at_once_has_one_winner(story: Story) -> None:
    await story.active()
    await story.service.advance(to=OPENS)
    answers = await asyncio.gather(*(story.do(verb) for verb in ("renew", "stop", "renew", "stop")))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(await story.told(RenewalRequested, StopRequested)) == 1


@pytest.mark.parametrize("timers_ran", [True, False])
@pytest.mark.parametrize("verb", ["renew", "stop"])
async def test_after_the_end_nothing_is_decided_whether_or_not_a_timer_ran(
    story: Story, verb: str, timers_ran: bool
) -> None:
    await story.active()
    if timers_ran:
        await story.service.advance(to=END)
    else:
        await jump_without_timers(story)
    answer = await story.do(verb)
    assert problem(answer) == (409, "AfterTheEnd", "3.3")
    assert await story.told(RenewalRequested, StopRequested) == []


async def test_a_renewal_accepts_the_newest_agreement_and_the_present_period_keeps_its_own(
    story: Story, newer_agreement: None
) -> None:
    await story.active()
    old = {"agreement_version": "2026-1", "language": "en", "channel": "portal"}
    old["text_sha256"] = agreements.published().version("2026-1").sha256(Language.EN)
    await story.service.advance(to=OPENS)
    answer = await story.do("renew", old)
    assert problem(answer) == (409, "AgreementTextDiffers", "3.1")
    assert answer.json()["facts"]["offered_version"] == "2030-1"
    assert (await story.do("renew")).status_code == 200
    [request] = await story.told(RenewalRequested)
    assert (request.agreement_version, request.mailing_fee.minor) == ("2030-1", 700)
    assert (await story.shown())["agreement_version"] == "2026-1"
    await story.pays(2, reported_at=OPENS, audited_at=OPENS + HOUR)
    [renewed] = await story.told(ServiceRenewed)
    assert renewed.retention_days == 60
    await story.service.advance(to=END)
    shown = await story.shown()
    assert shown["agreement_version"] == "2030-1"
    # This agreement has a window of five days.
    assert shown["window"]["opens_at"] == "2030-03-26T11:00:00Z"


async def test_without_a_renewal_the_service_expires_on_the_second(story: Story) -> None:
    await story.active()
    await story.service.advance(to=END - HOUR)
    assert await story.status() == "active"
    await story.service.advance(to=END)
    [fact] = await story.told(ServiceExpired)
    assert (fact.reason, fact.ended_at, fact.period_index) == ("not-renewed", END, 1)
    assert ("service.expire", "expired", "3.4", "2026-1") in await story.decisions()


async def test_an_expired_service_frees_its_servers_for_a_new_purchase(story: Story) -> None:
    await story.active()
    await story.service.advance(to=END)
    await story.accepted()
    await story.pays(1, reported_at=END, audited_at=END + HOUR)
    assert await story.status() == "active"


async def test_a_payment_in_time_whose_servers_are_in_a_new_contract_is_told_to_be_refused(story: Story) -> None:
    await story.renewing()
    first = story.contract
    await story.service.advance(to=END)
    await story.accepted()
    story.contract = first
    payment = await story.pays(2, reported_at=END - HOUR, audited_at=END + HOUR)
    assert await story.status() == "expired"
    [refused] = await story.told(RenewalRefused)
    assert (refused.period_index, refused.payment_id, refused.ended_at) == (2, payment, END)
    assert ("service.renew", "refused", "3.4", "2026-1") in await story.decisions()


async def test_a_jump_over_window_and_end_tells_the_window_first_and_once(story: Story) -> None:
    await story.active()
    await story.service.advance(to=END + timedelta(days=200))
    assert (await story.names())[-2:] == ["ServiceExpiring", "ServiceExpired"]


async def test_a_jump_over_two_ends_is_told_in_order(story: Story) -> None:
    await story.renewing()
    await story.pays(2, reported_at=OPENS, audited_at=OPENS + HOUR)
    await story.service.advance(to=SECOND_END + timedelta(days=200))
    assert (await story.names())[-3:] == ["ServiceRenewed", "ServiceExpiring", "ServiceExpired"]
    [fact] = await story.told(ServiceExpired)
    assert (fact.period_index, fact.ended_at) == (2, SECOND_END)


async def test_the_timers_may_run_in_either_order_and_on_two_replicas_at_once(story: Story) -> None:
    await story.active()
    await jump_without_timers(story)
    runners = [TimerRunner(story.service.runtime, story.service.timers) for _ in range(2)]
    await asyncio.gather(*(runner.run_due() for runner in runners))
    await story.service.run_due()
    assert (await story.names())[-2:] == ["ServiceExpiring", "ServiceExpired"]
    assert len(await story.told(ServiceExpiring, ServiceExpired)) == 2


async def test_a_payment_in_audit_at_the_end_holds_the_service_until_it_is_approved(story: Story) -> None:
    await story.renewing()
    payment = await story.reports(2, reported_at=END - HOUR)
    await story.service.advance(to=END + HOUR)
    [held] = await story.told(ServiceHeld)
    assert (held.period_index, held.ends_at, held.payment_id) == (1, END, payment)
    assert await story.status() == "held"
    assert problem(await story.do("stop")) == (409, "AfterTheEnd", "3.3")
    await story.audits(payment, 2, reported_at=END - HOUR, audited_at=END + HOUR)
    [renewed] = await story.told(ServiceRenewed)
    assert renewed.starts_at == END
    assert (await story.status(), await story.told(ServiceExpired)) == ("active", [])
    await story.service.advance(to=SECOND_OPENS)
    assert [fact.period_index for fact in await story.told(ServiceExpiring)] == [1, 2]


async def test_a_held_service_ends_when_its_payment_is_rejected(story: Story) -> None:
    await story.renewing()
    payment = await story.reports(2, reported_at=END - HOUR)
    await story.service.advance(to=END + HOUR)
    await story.audits(payment, 2, reported_at=END - HOUR, audited_at=END + HOUR, approved=False)
    [expired] = await story.told(ServiceExpired)
    assert (expired.reason, expired.ended_at) == ("payment-not-approved", END + HOUR)
    assert (await story.decisions())[-2:] == [
        ("contract.payment", "rejected", "3.2", "2026-1"),
        ("service.expire", "expired", "3.4", "2026-1"),
    ]


async def test_a_payment_rejected_before_the_end_leaves_the_service_to_expire(story: Story) -> None:
    await story.renewing()
    payment = await story.reports(2, reported_at=OPENS)
    await story.audits(payment, 2, reported_at=OPENS, audited_at=OPENS + HOUR, approved=False)
    await story.service.advance(to=END)
    [expired] = await story.told(ServiceExpired)
    assert expired.reason == "not-renewed"


async def test_word_of_a_payment_in_time_reinstates_an_expired_service(story: Story) -> None:
    await story.renewing()
    await story.service.advance(to=END + HOUR)
    assert await story.status() == "expired"
    payment = await story.reports(2, reported_at=END - MOMENT)
    assert await story.status() == "held"
    await story.audits(payment, 2, reported_at=END - MOMENT, audited_at=END + HOUR)
    assert (await story.names())[-3:] == ["ServiceExpired", "ServiceHeld", "ServiceRenewed"]


async def test_a_payment_reported_at_or_after_the_end_leaves_the_service_expired(story: Story) -> None:
    await story.renewing()
    await story.service.advance(to=END + HOUR)
    await story.pays(2, reported_at=END, audited_at=END + HOUR)
    assert await story.status() == "expired"
    assert await story.told(ServiceRenewed, ServiceHeld) == []
    assert (await story.decisions())[-1] == ("service.renew", "refused", "3.4", "2026-1")


async def test_a_service_whose_server_is_in_a_new_contract_is_not_reinstated(story: Story) -> None:
    await story.renewing()
    old = story.contract
    await story.service.advance(to=END + HOUR)
    await story.drafted()
    story.contract = old
    await story.pays(2, reported_at=END - HOUR, audited_at=END)
    assert await story.status() == "expired"
    assert (await story.decisions())[-1] == ("service.renew", "refused", "3.4", "2026-1")


@pytest.mark.parametrize("order", list(itertools.permutations(["report", "audit", "end"])), ids="-".join)
async def test_report_audit_and_end_renew_without_a_gap_in_every_order(story: Story, order: tuple[str, ...]) -> None:
    await story.renewing()
    payment = await story.reports(1, reported_at=OPENS)  # of the first period: concerns nobody any more
    await story.audits(payment, 1, reported_at=OPENS, audited_at=OPENS)
    payment = await story.reports(9, reported_at=OPENS)  # of a period nobody asked for
    await story.audits(payment, 9, reported_at=OPENS, audited_at=OPENS)
    for step in order:
        if step == "report":
            payment = await story.reports(2, reported_at=END - HOUR, payment_id=story.customer_id)
        elif step == "audit":
            await story.audits(story.customer_id, 2, reported_at=END - HOUR, audited_at=END + HOUR)
        else:
            await story.service.advance(to=END + HOUR)
    assert await story.status() == "active"
    [renewed] = await story.told(ServiceRenewed)
    assert (renewed.starts_at, renewed.ends_at) == (END, SECOND_END)
    assert (await story.shown())["current_period_index"] == 2


async def jump_without_timers(story: Story) -> None:
    """Move the clock past the end of the first period, as if no worker ran."""
    admin = story.service.as_role(Role.ADMIN)
    assert (await admin.post("/v1/clock", json={"to": (END + HOUR).isoformat()})).status_code == 200


@pytest.fixture
def newer_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version 2030-1 with other numbers, in effect from a week after START."""
    first = agreements.published().version("2026-1")
    newer = replace(
        first,
        version="2030-1",
        effective_from=START + timedelta(days=7),
        texts={language: f"{text}\n2030" for language, text in first.texts.items()},
        parameters=replace(
            first.parameters,
            renewal_window_days=5,
            retention_days=60,
            bill_mailing_fee={"EUR": 700, "USD": 800, "CNY": 3000},
        ),
    )
    book = Agreements((first, newer))
    monkeypatch.setattr(agreements, "published", lambda: book)
