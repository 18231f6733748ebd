"""Clause 6.2: dissatisfied, or for the company's technical defect: the full payment of the period goes back."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.events.contracts import (
    RefundRequested,
    RefundTakenBack,
    RenewalRequested,
    ServiceExpired,
    ServiceRefunded,
    ServiceRenewed,
)
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.incidents import FINDING, HAPPENED
from tests.contracts.stories.refunds import RefundStory, with_parameters
from tests.contracts.story import END, HOUR, OPENS, SECOND_END, START, problem
from tests.support.service import ServiceUnderTest

DAY = timedelta(days=1)


@pytest.fixture
def story(service: ServiceUnderTest) -> RefundStory:
    return RefundStory(service)


async def test_who_is_dissatisfied_asks_for_the_payment_of_a_period_back_and_the_service_ends_with_it(
    story: RefundStory,
) -> None:
    """Given a registered service, When the refund is released, Then the service ends and its servers are free."""
    await story.active()
    await story.service.advance(to=START + 9 * DAY)
    await story.asked_back()
    [asked] = await story.told(RefundRequested)
    assert (str(asked.refund_id), asked.period_index, asked.ground, asked.agreement_version) == (
        story.refund, 1, "dissatisfied", "2026-1",
    )  # fmt: skip
    assert await story.decisions(story.refund) == [("refund.request", "accepted", "6.2", "2026-1")]
    # While finance prepares it the service goes on.
    assert await story.status() == "active"
    assert (await story.option())["refusal"] == "AlreadyRefunded"

    await story.service.advance(to=START + 12 * DAY)
    await story.finance_releases(at=START + 12 * DAY)

    shown = await story.shown()
    assert (shown["status"], shown["end_reason"], shown["ended_at"]) == ("refunded", "refunded", "2030-02-12T12:00:00Z")
    assert shown["periods"][0]["refunded_at"] == shown["ended_at"]
    [ended] = await story.told(ServiceRefunded)
    assert (ended.period_index, ended.refunded_period_index, ended.last_period_index) == (1, 1, 1)
    assert (ended.ended_at, ended.retention_days) == (START + 12 * DAY, 30)
    assert (await story.decisions())[-1] == ("service.refund", "refunded", "6.2", "2026-1")
    answered = await story.refund_shown()
    assert (answered["status"], answered["credit_note_number"]) == ("released", "MC-2030-000001")
    # The servers may enter a new contract.
    assert (await story.http.post("/v1/contracts", json=story.draft_body())).status_code == 201


async def test_a_period_is_asked_back_once_whatever_is_clicked_at_once(story: RefundStory) -> None:
    """Given twenty clicks at once, Then there is one request; and none after it was paid back."""
    await story.active()
    answers = await asyncio.gather(*(story.ask_back() for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert {problem(answer) for answer in answers if answer.status_code == 409} == {(409, "AlreadyRefunded", "6.2")}
    [asked] = await story.told(RefundRequested)
    await story.finance_releases(refund=str(asked.refund_id))
    assert problem(await story.ask_back()) == (409, "AlreadyRefunded", "6.2")


async def test_word_of_a_release_that_comes_twice_ends_the_service_once(story: RefundStory) -> None:
    await story.active()
    await story.asked_back()
    fact = await story.finance_releases()
    await story.service.tell(fact)
    assert len(await story.told(ServiceRefunded)) == 1


async def test_a_technical_defect_of_the_company_opens_the_refund_of_its_period(story: RefundStory) -> None:
    """Given an incident for which the company answers, When the customer names it, Then it is the ground."""
    await story.served()
    await story.reported()
    await story.determines("company-defect", findings=[FINDING])
    undecided = await story.ask_back(ground="company-defect", incident_id=story.incident)
    assert problem(undecided) == (409, "NoCompanyDefect", "6.2")
    assert (await story.decides()).json()["liability"] == "company"
    await story.asked_back(ground="company-defect", incident_id=story.incident)
    [asked] = await story.told(RefundRequested)
    assert (asked.ground, str(asked.incident_id)) == ("company-defect", story.incident)


async def test_a_defect_of_somebody_else_is_none_of_the_companys(story: RefundStory) -> None:
    await story.served()
    await story.reported()
    await story.determines("third-party", findings=[FINDING])
    await story.decides()
    answer = await story.ask_back(ground="company-defect", incident_id=story.incident)
    assert problem(answer) == (409, "NoCompanyDefect", "6.2")
    unknown = await story.ask_back(ground="company-defect", incident_id=str(new_id()))
    assert problem(unknown) == (404, "NoSuchIncident", None)


@pytest.mark.parametrize(
    ("asked_at", "accepted"),
    [(START + 14 * DAY - HOUR, True), (START + 14 * DAY, False)],
)
async def test_an_agreement_with_a_window_takes_requests_within_its_days(
    story: RefundStory, monkeypatch: pytest.MonkeyPatch, asked_at: datetime, accepted: bool
) -> None:
    """Given an agreement with fourteen days, When they are over, Then it is refused naming the date."""
    with_parameters(monkeypatch, refund_window_days=14)
    await story.active()
    await story.service.advance(to=asked_at)
    assert (await story.option())["allowed"] == accepted
    answer = await story.ask_back()
    if accepted:
        assert answer.status_code == 201
    else:
        assert problem(answer) == (409, "RefundWindowClosed", "6.2")
        assert answer.json()["facts"]["closed_at"] == (START + 14 * DAY).isoformat()
        assert await story.told(RefundRequested) == []


async def test_without_a_window_a_refund_is_asked_for_at_any_time_even_after_the_end(story: RefundStory) -> None:
    """Given the agreement as it ships, When the service has expired, Then the period's payment still goes back."""
    await story.active()
    await story.service.advance(to=END + 40 * DAY)
    assert await story.status() == "expired"
    await story.asked_back()
    await story.finance_releases()
    shown = await story.shown()
    # The end stays what it was.
    assert (shown["status"], shown["end_reason"], shown["ended_at"]) == (
        "refunded",
        "not-renewed",
        "2030-02-28T12:00:00Z",
    )
    [ended] = await story.told(ServiceRefunded)
    assert ended.ended_at == END


async def test_a_defect_opens_the_window_anew_when_it_is_decided(
    story: RefundStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_parameters(monkeypatch, refund_window_days=2)
    await story.served()
    await story.reported()
    await story.determines("company-defect", findings=[FINDING])
    await story.service.advance(to=HAPPENED + 10 * DAY)
    await story.decides()
    assert problem(await story.ask_back()) == (409, "RefundWindowClosed", "6.2")
    await story.service.advance(to=HAPPENED + 12 * DAY - HOUR)
    answer = await story.ask_back(ground="company-defect", incident_id=story.incident)
    assert answer.status_code == 201


async def test_only_what_was_bought_and_paid_is_refunded(story: RefundStory) -> None:
    await story.accepted()
    assert problem(await story.ask_back()) == (409, "NotRegistered", "3.1")
    await story.service.advance(to=START)
    await story.pays(1, reported_at=START - HOUR, audited_at=START)
    assert problem(await story.ask_back(2)) == (409, "PeriodNotPaid", "6.2")
    await story.service.advance(to=OPENS)
    assert (await story.do("renew")).status_code == 200
    assert problem(await story.ask_back(2)) == (409, "PeriodNotPaid", "6.2")


async def test_the_customer_takes_it_back_before_the_release(story: RefundStory) -> None:
    """Given a request, When it is taken back in time, Then the service goes on and it may be asked for again."""
    await story.active()
    await story.asked_back()
    assert (await story.take_back()).json()["status"] == "withdrawing"
    assert len(await story.told(RefundTakenBack)) == 1
    assert problem(await story.take_back()) == (409, "IllegalMove", None)
    await story.finance_declines(reason="withdrawn-by-customer")
    assert (await story.refund_shown())["status"] == "withdrawn"
    assert await story.status() == "active"
    await story.asked_back()


async def test_taken_back_too_late_the_release_stands(story: RefundStory) -> None:
    await story.active()
    await story.asked_back()
    await story.take_back()
    await story.finance_releases()
    assert (await story.refund_shown())["status"] == "released"
    assert await story.status() == "refunded"


async def test_declined_by_finance_the_service_goes_on(story: RefundStory) -> None:
    await story.active()
    await story.asked_back()
    await story.finance_declines()
    shown = await story.refund_shown()
    assert (shown["status"], shown["decline_reason"]) == ("declined", "declined-by-finance")
    assert (await story.option())["allowed"]
    await story.asked_back()


async def test_a_next_period_that_is_paid_goes_back_whole_and_the_present_one_is_served_to_its_end(
    story: RefundStory,
) -> None:
    """Given a paid renewal, When it is refunded before it begins, Then the service ends with the present period."""
    await story.renewing()
    await story.pays(2, reported_at=OPENS + HOUR, audited_at=OPENS + 2 * HOUR)
    await story.service.advance(to=OPENS + 3 * HOUR)
    await story.asked_back(2)
    await story.finance_releases(2)
    assert await story.status() == "active"
    assert problem(await story.do("renew")) == (409, "AlreadyDecided", "3.3")
    await story.service.advance(to=END)
    shown = await story.shown()
    assert (shown["status"], shown["ended_at"]) == ("refunded", "2030-02-28T12:00:00Z")
    [ended] = await story.told(ServiceRefunded)
    assert (ended.period_index, ended.refunded_period_index, ended.last_period_index) == (1, 2, 2)
    assert ended.ended_at == END
    assert await story.told(ServiceExpired) == []


async def test_word_of_that_refund_that_comes_after_the_period_began_ends_it_at_once(story: RefundStory) -> None:
    await story.renewing()
    await story.pays(2, reported_at=OPENS + HOUR, audited_at=OPENS + 2 * HOUR)
    await story.asked_back(2)
    await story.service.advance(to=END + DAY)
    await story.finance_releases(2, at=END - HOUR)
    shown = await story.shown()
    assert (shown["status"], shown["ended_at"]) == ("refunded", "2030-02-28T12:00:00Z")


async def test_renewed_in_between_the_service_ends_with_the_release_all_the_same(story: RefundStory) -> None:
    """Given a request of the first period, When the second one has begun meanwhile, Then the release ends that one."""
    await story.renewing()
    await story.asked_back(1)
    await story.pays(2, reported_at=OPENS + HOUR, audited_at=OPENS + 2 * HOUR)
    assert len(await story.told(ServiceRenewed)) == 1
    await story.service.advance(to=END + DAY)
    await story.finance_releases(1, at=END + DAY)
    shown = await story.shown()
    assert (shown["status"], shown["current_period_index"], shown["ended_at"]) == (
        "refunded",
        2,
        "2030-03-01T12:00:00Z",
    )
    assert [period["refunded_at"] for period in shown["periods"]] == ["2030-03-01T12:00:00Z", None]
    # The period that had begun may be asked back for itself.
    await story.asked_back(2)


async def test_a_paid_period_that_never_begins_is_credit_unless_it_was_asked_back(story: RefundStory) -> None:
    await story.renewing()
    await story.pays(2, reported_at=OPENS + HOUR, audited_at=OPENS + 2 * HOUR)
    await story.asked_back(1)
    await story.finance_releases(1)
    assert problem(await story.ask_back(2)) == (409, "PaymentIsCredit", "6.2")
    [ended] = await story.told(ServiceRefunded)
    assert (ended.period_index, ended.last_period_index) == (1, 2)
    await story.service.advance(to=SECOND_END)
    assert (await story.shown())["current_period_index"] == 1


async def test_a_payment_in_audit_brings_nothing_back_after_the_refund(story: RefundStory) -> None:
    """Given a service that a payment in audit holds, When it is refunded, Then the audit changes nothing."""
    await story.renewing()
    payment = await story.reports(2, reported_at=OPENS + HOUR)
    await story.asked_back(1)
    await story.service.advance(to=END + HOUR)
    assert await story.status() == "held"
    await story.finance_releases(1)
    assert await story.status() == "refunded"
    await story.audits(payment, 2, reported_at=OPENS + HOUR, audited_at=END + 2 * HOUR)
    assert await story.status() == "refunded"
    assert await story.told(ServiceRenewed) == []
    late = await story.reports(2, reported_at=OPENS + HOUR)
    await story.audits(late, 2, reported_at=OPENS + HOUR, audited_at=END + 3 * HOUR)
    assert await story.status() == "refunded"
    assert len(await story.told(ServiceRefunded)) == 1


async def test_expired_before_the_release_nothing_revives_it_afterwards(story: RefundStory) -> None:
    await story.renewing()
    await story.asked_back(1)
    await story.service.advance(to=END + HOUR)
    assert await story.status() == "expired"
    await story.finance_releases(1)
    await story.reports(2, reported_at=END - HOUR)
    assert await story.status() == "refunded"


async def test_an_incident_after_the_refund_is_not_in_a_served_time(story: RefundStory) -> None:
    await story.served()
    await story.asked_back()
    await story.finance_releases()
    await story.reported()
    await story.determines("company-defect", findings=[FINDING])
    await story.decides()
    facts = (await story.http.get("/v1/decisions", params={"subject_id": story.incident})).json()["items"][0]["facts"]
    assert (facts["service"]["served"], facts["service"]["end_reason"]) == (False, "refunded")


@pytest.mark.parametrize(
    "changes",
    [
        {"ground": "company-defect"},
        {"incident_id": str(UUID(int=1))},
        {"ground": "changed-my-mind"},
        {"period_index": 0},
        {"period_index": "1"},
        {"amount": 5},
        {"note": "please"},
    ],
    ids=str,
)
async def test_no_other_request_is_taken(story: RefundStory, changes: dict[str, Any]) -> None:
    await story.active()
    assert (await story.ask_back(**{"period_index": 1, **changes})).status_code == 422
    assert await story.told(RefundRequested) == []


async def test_it_is_asked_for_in_writing_and_by_the_customer(story: RefundStory) -> None:
    await story.active()
    assert problem(await story.ask_back(channel="telephone")) == (422, "OralRequest", "3.1")
    await story.asked_back()
    assert problem(await story.take_back(channel="telephone")) == (422, "OralRequest", "3.1")
    other = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    body = {"period_index": 1, "ground": "dissatisfied", "channel": "portal"}
    answer = await other.post(f"/v1/contracts/{story.contract}/refund-requests", json=body)
    assert problem(answer) == (404, "NoSuchContract", None)
    assert problem(await other.get(f"/v1/refund-requests/{story.refund}")) == (404, "NoSuchRefundRequest", None)
    taken = await other.post(f"/v1/refund-requests/{story.refund}/withdraw", json={"channel": "portal"})
    assert problem(taken) == (404, "NoSuchRefundRequest", None)
    assert (await other.get("/v1/refund-requests")).json()["items"] == []
    assert len((await story.http.get("/v1/refund-requests")).json()["items"]) == 1


async def test_no_renewal_is_asked_for_after_a_refund(story: RefundStory) -> None:
    """A standing renewal dies with the service."""
    await story.active()
    assert (await story.do("renew")).status_code == 200
    await story.asked_back()
    await story.finance_releases()
    await story.service.advance(to=END + DAY)
    assert await story.told(RenewalRequested) == []
    assert problem(await story.do("renew")) == (409, "AfterTheEnd", "3.3")
