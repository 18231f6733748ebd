"""Extensions: two answers at once, another customer, what the database refuses, and who may read what."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.contracts.db.tables import contracts, extensions, periods
from shared.events.contracts import (
    ExtensionRefused,
    ExtensionRequested,
    RenewalRequested,
    ServiceExtended,
    StopRequested,
)
from shared.kit.auth import Role
from tests.contracts.stories.lifecycle import LifecycleStory as Story
from tests.contracts.story import END, HOUR, OPENS, START, problem
from tests.support.service import ServiceUnderTest

UNTIL_ON = "2030-03-20"


@pytest.fixture
def story(service: ServiceUnderTest) -> Story:
    return Story(service)


async def test_granting_and_refusing_at_once_has_one_winner_and_the_losers_are_told_which(story: Story) -> None:
    await story.active()
    await story.explained()
    answers = await asyncio.gather(
        *(
            story.approves(UNTIL_ON, by=f"support-{number}") if number % 2 else story.refuses(by=f"support-{number}")
            for number in range(8)
        )
    )
    [told] = await story.told(ServiceExtended, ExtensionRefused)
    won = "approved" if isinstance(told, ServiceExtended) else "refused"
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
    lost = [answer.json() for answer in answers if answer.status_code == 409]
    assert {(body["code"], body["facts"]["decision"]) for body in lost} == {("AlreadyAnswered", won)}


async def test_explaining_many_times_at_once_is_recorded_once(story: Story) -> None:
    await story.active()
    answers = await asyncio.gather(*(story.explains() for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"AlreadyExplained"}
    assert len(await story.told(ExtensionRequested)) == 1


async def test_renewing_and_stopping_at_once_in_the_extension_has_one_winner(story: Story) -> None:
    await story.active()
    await story.explained()
    await story.granted(UNTIL_ON)
    await story.until(END + HOUR)
    answers = await asyncio.gather(*(story.do(verb) for verb in ("renew", "stop") * 3))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    assert len(await story.told(RenewalRequested, StopRequested)) == 1


async def test_granting_and_buying_anew_at_once_leaves_the_server_in_one_contract(story: Story) -> None:
    await story.active()
    await story.explained()
    await story.until(END)
    granted, drafted = await asyncio.gather(
        story.approves(UNTIL_ON), story.http.post("/v1/contracts", json=story.draft_body())
    )
    assert sorted([granted.status_code, drafted.status_code]) in ([200, 409], [201, 409])
    assert await story.status() == ("extended" if granted.is_success else "expired")


async def test_a_server_that_is_taken_at_the_last_moment_is_left_where_it_is(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looked_before(*_: object) -> bool:
        return True

    await story.active()
    await story.explained()
    await story.until(END)
    await story.drafted()
    monkeypatch.setattr("services.contracts.db.contracts.servers_free", looked_before)
    assert problem(await story.approves(UNTIL_ON)) == (409, "ServerInAnotherContract", "3.4")
    assert await story.told(ServiceExtended) == []


async def test_another_customers_extension_is_not_found(story: Story) -> None:
    await story.active()
    await story.explained()
    stranger = Story(story.service)
    await stranger.registered_customer()
    stranger.contract = story.contract
    unknown = await stranger.http.get(f"/v1/extensions/{stranger.customer_id}")
    theirs = await stranger.http.get(f"/v1/extensions/{story.extension}")
    assert problem(unknown) == problem(theirs) == (404, "NoSuchExtension", None)
    assert problem(await stranger.explains()) == (404, "NoSuchContract", None)
    assert (await stranger.http.get("/v1/extensions")).json()["items"] == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.FINANCE, Role.PARTNER])
async def test_what_was_explained_is_read_by_the_customer_support_and_administrators_only(
    story: Story, role: Role
) -> None:
    await story.active()
    await story.explained()
    other = story.service.as_role(role, partner_id=UUID(int=7) if role is Role.PARTNER else None)
    for path in ("/v1/extensions", f"/v1/extensions/{story.extension}"):
        assert (await other.get(path)).status_code == 403
    [found] = (await story.support.get("/v1/extensions", params={"status": "requested"})).json()["items"]
    assert found["id"] == story.extension


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": "a\u0000b"}, "reason"),
        ({"reason": "x" * 4001}, "reason"),
        ({"until_on": "2030-02-30"}, "until_on"),
        ({"until_on": "tomorrow"}, "until_on"),
        ({"until_on": "2030-03-01T00:00:00Z"}, "until_on"),
        ({"until_on": 1}, "until_on"),
        ({"until_on": "9999-12-31"}, "until_on"),
        ({"until_on": "2030-04-30"}, "until_on"),
        ({"until_on": "2030-01-31"}, "until_on"),
        ({"channel": "phone"}, "channel"),
        ({"status": "approved"}, "status"),
    ],
)
async def test_what_is_not_an_explanation_is_refused_naming_the_field(
    story: Story, body: dict[str, Any], field: str
) -> None:
    await story.active()
    answer = await story.explains(**body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await story.told(ExtensionRequested) == []
    assert (await story.http.get("/v1/extensions")).json()["items"] == []


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (extensions, {"status": "asleep"}),
        (extensions, {"requested_at": END}),
        (extensions, {"decided_by": None}),
        (extensions, {"decided_by": "support-1", "requested_by": "support-1"}),
        (extensions, {"extended_until": END}),
        (extensions, {"until_on": None}),
        (extensions, {"status": "refused"}),
        (periods, {"explained_at": END}),
        (periods, {"extended_until": END}),
        (periods, {"explained_at": None}),
        (contracts, {"status": "extended", "current_index": 0}),
    ],
)
async def test_the_database_refuses_what_must_not_be(story: Story, table: sa.Table, values: dict[str, object]) -> None:
    await story.active()
    await story.explained()
    await story.granted(UNTIL_ON)
    with pytest.raises(IntegrityError):
        async with story.service.runtime.database.transaction() as tx:
            await tx.execute(sa.update(table).values(**values))


async def test_a_day_in_a_clock_change_at_midnight_ends_with_the_change(story: Story) -> None:
    """In Cairo, 26 April 2030 begins at one o'clock: the clock skips midnight."""
    await story.registered_customer(zone="Africa/Cairo")
    await story.server()
    await story.accepted()
    registered_at = START.replace(month=3, day=20)
    await story.service.advance(to=registered_at)
    await story.pays(1, reported_at=registered_at - HOUR, audited_at=registered_at)
    await story.explained()
    await story.granted(date(2030, 4, 25))
    [extended] = await story.told(ServiceExtended)
    assert extended.extended_until.isoformat() == "2030-04-25T22:00:00+00:00"


async def test_one_who_died_between_is_told_again_and_nothing_is_granted_twice(story: Story) -> None:
    await story.active()
    await story.explained()
    key = {"idempotency-key": "grant"}
    staff = story.service.as_role(Role.ADMIN)
    path = f"/v1/extensions/{story.extension}/approve"
    first = await staff.post(path, json={"until_on": UNTIL_ON}, headers=key)
    again = await staff.post(path, json={"until_on": UNTIL_ON}, headers=key)
    assert (first.status_code, again.headers.get("idempotency-replayed")) == (200, "true")
    assert first.content == again.content
    assert len(await story.told(ServiceExtended)) == 1


async def test_a_jump_over_the_extension_ends_the_service_at_its_end(story: Story) -> None:
    await story.active()
    await story.until(OPENS)
    await story.explained()
    await story.granted(UNTIL_ON)
    await story.until(END + timedelta(days=300))
    kinds = [kind for kind, *_ in await story.decisions()]
    assert kinds[-2:] == ["service.extend", "service.expire"]
    assert (await story.shown())["ended_at"] == "2030-03-20T23:00:00Z"
