"""3.5 Special circumstances explained before the expiry: information is kept and the service goes on."""

from datetime import timedelta

import pytest

from shared.events.contracts import (
    ExtensionRefused,
    ExtensionRequested,
    RenewalRequested,
    ServiceExpired,
    ServiceExtended,
    ServiceHeld,
    ServiceRenewed,
    StopRequested,
)
from tests.contracts.stories.lifecycle import REASON
from tests.contracts.stories.lifecycle import LifecycleStory as Story
from tests.contracts.story import END, HOUR, OPENS, SECOND_END, SECOND_OPENS, problem

UNTIL_ON = "2030-03-20"
OVER = END.replace(month=3, day=20, hour=23)  # the end of that day in Berlin
DAY = timedelta(days=1)

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_who_explains_before_the_end_and_is_granted_it_is_served_until_the_day_is_over(lifecycle: Story) -> None:
    """Given a service in its window, when circumstances are explained and granted, then it goes on. Clause 3.5."""
    await lifecycle.active()
    await lifecycle.until(OPENS)
    await lifecycle.explained()
    await lifecycle.granted(UNTIL_ON)
    [asked], [extended] = await lifecycle.told(ExtensionRequested), await lifecycle.told(ServiceExtended)
    assert (asked.period_index, asked.ends_at, asked.requested_at >= OPENS) == (1, END, True)
    assert (extended.ends_at, extended.extended_until, extended.zone) == (END, OVER, "Europe/Berlin")
    await lifecycle.until(END)
    assert await lifecycle.status() == "extended"
    await lifecycle.until(OVER - HOUR)
    assert (await lifecycle.status(), await lifecycle.told(ServiceExpired)) == ("extended", [])
    await lifecycle.until(OVER)
    [expired] = await lifecycle.told(ServiceExpired)
    assert (await lifecycle.status(), expired.ended_at, expired.reason) == ("expired", OVER, "not-renewed")
    assert [row[:3] for row in await lifecycle.decisions(lifecycle.extension)] == [
        ("extension.request", "recorded", "3.5"),
        ("extension.approve", "approved", "3.5"),
    ]
    assert [row[:3] for row in await lifecycle.decisions()][-2:] == [
        ("service.extend", "extended", "3.5"),
        ("service.expire", "expired", "3.4"),
    ]


async def test_a_renewal_paid_in_the_extension_begins_where_the_period_ended(lifecycle: Story) -> None:
    """Given an extension, when the customer renews and pays in it, then no gap is left. Clauses 3.3 and 3.5."""
    await lifecycle.active()
    await lifecycle.explained()
    await lifecycle.granted(UNTIL_ON)
    await lifecycle.until(END + 5 * DAY)
    window = await lifecycle.window()
    assert (window["open"], window["closes_at"], window["ends_at"]) == (True, _text(OVER), _text(END))
    assert (await lifecycle.do("renew")).status_code == 200
    [request] = await lifecycle.told(RenewalRequested)
    assert (request.starts_at, request.ends_at) == (END, SECOND_END)
    await lifecycle.pays(2, reported_at=END + 6 * DAY, audited_at=END + 7 * DAY)
    [renewed] = await lifecycle.told(ServiceRenewed)
    shown = await lifecycle.shown()
    assert (renewed.starts_at, shown["status"], shown["current_period_index"]) == (END, "active", 2)
    await lifecycle.until(SECOND_OPENS)
    assert await lifecycle.told(ServiceExpired) == []
    assert await lifecycle.status() == "active"


async def test_a_payment_in_audit_at_the_end_of_the_extension_holds_the_service(lifecycle: Story) -> None:
    """Given a payment reported in the extension, when it is in audit at the end, then it holds. Clauses 3.3, 3.5."""
    await lifecycle.renewing()
    await lifecycle.explained()
    await lifecycle.granted(UNTIL_ON)
    payment = await lifecycle.reports(2, reported_at=OVER - HOUR)
    await lifecycle.until(OVER + HOUR)
    assert (await lifecycle.status(), len(await lifecycle.told(ServiceHeld))) == ("held", 1)
    await lifecycle.audits(payment, 2, reported_at=OVER - HOUR, audited_at=OVER + HOUR)
    assert await lifecycle.status() == "active"


async def test_a_payment_reported_when_the_extension_is_over_is_too_late(lifecycle: Story) -> None:
    """Given an extension that is over, when a payment is reported, then it renews nothing. Clause 3.4."""
    await lifecycle.renewing()
    await lifecycle.explained()
    await lifecycle.granted(UNTIL_ON)
    await lifecycle.until(OVER)
    await lifecycle.pays(2, reported_at=OVER, audited_at=OVER + HOUR)
    assert (await lifecycle.status(), await lifecycle.told(ServiceRenewed)) == ("expired", [])
    assert (await lifecycle.decisions())[-1][:3] == ("service.renew", "refused", "3.4")


async def test_an_explanation_that_nobody_answered_by_the_end_keeps_nothing(lifecycle: Story) -> None:
    """Given an open explanation, when the period ends, then the service ends as well. Clauses 3.4 and 3.5."""
    await lifecycle.active()
    await lifecycle.explained()
    await lifecycle.until(END)
    assert (await lifecycle.status(), len(await lifecycle.told(ServiceExpired))) == ("expired", 1)


async def test_granted_after_the_end_it_brings_the_service_back(lifecycle: Story) -> None:
    """Given a service that ended while the explanation was open, when it is granted, then it goes on. Clause 3.5."""
    await lifecycle.renewing()
    await lifecycle.explained()
    await lifecycle.until(END + DAY)
    await lifecycle.granted(UNTIL_ON)
    [extended] = await lifecycle.told(ServiceExtended)
    assert (await lifecycle.status(), extended.was_ended) == ("extended", True)
    # The invoice ended with the service: its fee is asked for again.
    assert [type(fact) for fact in (await lifecycle.told())[-2:]] == [ServiceExtended, RenewalRequested]
    await lifecycle.pays(2, reported_at=END + 2 * DAY, audited_at=END + 3 * DAY)
    assert (await lifecycle.status(), (await lifecycle.shown())["current_period_index"]) == ("active", 2)


async def test_it_is_not_granted_when_a_server_is_in_another_contract_by_then(lifecycle: Story) -> None:
    """Given a new contract for the server, when the old explanation is granted, then that is refused. Clause 3.4."""
    await lifecycle.active()
    first = lifecycle.contract
    await lifecycle.explained()
    await lifecycle.until(END)
    await lifecycle.drafted()
    assert problem(await lifecycle.approves(UNTIL_ON)) == (409, "ServerInAnotherContract", "3.4")
    assert (await lifecycle.refuses("You have bought anew.")).status_code == 200
    lifecycle.contract = first
    assert await lifecycle.status() == "expired"


async def test_after_the_end_nothing_can_be_explained(lifecycle: Story) -> None:
    """Given a period that is over, when circumstances are explained, then they are refused. Clause 3.5."""
    await lifecycle.active()
    await lifecycle.until(END)
    answer = await lifecycle.explains()
    assert problem(answer) == (409, "ExplainedTooLate", "3.5")
    assert answer.json()["facts"] == {"ended_at": "2030-02-28T12:00:00+00:00"}
    assert await lifecycle.told(ExtensionRequested) == []


async def test_a_refusal_is_told_with_its_reason_and_leaves_room_for_other_circumstances(lifecycle: Story) -> None:
    """Given an explanation, when it is refused, then the customer reads why, and may explain again. Clause 3.5."""
    await lifecycle.active()
    await lifecycle.explained()
    assert (await lifecycle.refuses()).status_code == 200
    shown = (await lifecycle.http.get(f"/v1/extensions/{lifecycle.extension}")).json()
    assert (shown["status"], shown["reason"], shown["refusal_reason"]) == (
        "refused",
        REASON,
        "A holiday is not special.",
    )
    assert len(await lifecycle.told(ExtensionRefused)) == 1
    # That neither text is in a fact, decision or audit row is insisted on when the service closes.
    await lifecycle.explained()
    await lifecycle.until(END)
    assert await lifecycle.status() == "expired"


async def test_nobody_answers_what_they_recorded_and_it_is_answered_once(lifecycle: Story) -> None:
    """Given an explanation that support recorded, when the same person grants it, then that is refused. Clause 3.5."""
    await lifecycle.active()
    recorded = await lifecycle.support.post(
        f"/v1/contracts/{lifecycle.contract}/extensions", json={"reason": "By e-mail.", "channel": "email"}
    )
    lifecycle.extension = recorded.json()["id"]
    for answer in (await lifecycle.approves(UNTIL_ON, by="dev-support"), await lifecycle.refuses(by="dev-support")):
        assert problem(answer) == (403, "OwnExplanation", "3.5")
    await lifecycle.granted(UNTIL_ON)
    late = await lifecycle.refuses(by="linus")
    assert problem(late) == (409, "AlreadyAnswered", "3.5")
    assert late.json()["facts"]["decision"] == "approved"


@pytest.mark.parametrize(
    "until_on", ["2030-02-27", "2030-03-31", "2030-01-01", "1970-01-01", "8999-12-31"], ids=lambda day: str(day)
)
async def test_it_ends_after_the_period_and_no_later_than_the_agreement_lets_it(
    lifecycle: Story, until_on: str
) -> None:
    """Given an explanation, when it is granted for a day out of range, then that is refused. Clause 3.5."""
    await lifecycle.active()
    await lifecycle.explained()
    answer = await lifecycle.approves(until_on)
    assert problem(answer) == (422, "ExtensionOutOfRange", "3.5")
    body = answer.json()
    assert [error["field"] for error in body["errors"]] == ["until_on"]
    assert (body["facts"]["first_day"], body["facts"]["last_day"]) == ("2030-02-28", "2030-03-30")
    await lifecycle.until(END)
    assert await lifecycle.status() == "expired"


async def test_who_stops_gives_the_extension_up(lifecycle: Story) -> None:
    """Given an extension under way, when the customer stops, then the service ends at once. Clauses 3.3 and 3.5."""
    await lifecycle.active()
    await lifecycle.explained()
    await lifecycle.granted(UNTIL_ON)
    await lifecycle.until(END + DAY)
    assert (await lifecycle.do("stop")).status_code == 200
    [stop], [expired] = await lifecycle.told(StopRequested), await lifecycle.told(ServiceExpired)
    assert (await lifecycle.status(), expired.reason) == ("expired", "stopped-by-customer")
    assert stop.ends_at == END <= expired.ended_at
    await lifecycle.until(OVER)
    assert len(await lifecycle.told(ServiceExpired)) == 1


async def test_work_goes_on_in_the_extension(lifecycle: Story) -> None:
    """Given an extension, when work is asked for, then it is taken; after it, it is not. Clauses 3.1 and 3.5."""
    await lifecycle.active()
    await lifecycle.explained()
    await lifecycle.granted(UNTIL_ON)
    await lifecycle.until(END + DAY)
    body = {"operation_code": "health-check", "server_id": lifecycle.server_ids[0], "channel": "portal"}
    path = f"/v1/contracts/{lifecycle.contract}/work-requests"
    assert (await lifecycle.http.post(path, json=body)).status_code == 201
    await lifecycle.until(OVER)
    assert problem(await lifecycle.http.post(path, json=body)) == (409, "NotRegistered", "3.1")


def _text(instant: object) -> str:
    return str(instant).replace(" ", "T").replace("+00:00", "Z")
