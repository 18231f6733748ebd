"""Clause 5.2: secrets of servers are in a vault, shown only for work in progress; a disclosed one is replaced."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.contracts.db.tables import secret_reveals, secret_values
from shared.events.contracts import DisclosedSecretReplaced, RotationOverdue, SecretDisclosed, SecretRevealed
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.tables import audit_rows
from tests.contracts.stories.vault import NEXT_VALUE, VALUE, VaultStory
from tests.contracts.story import problem
from tests.support.service import ServiceUnderTest


@pytest.fixture
async def story(service: ServiceUnderTest) -> VaultStory:
    """Given a served contract."""
    story = VaultStory(service)
    await story.active()
    return story


async def verbs(story: VaultStory) -> list[str]:
    async with story.service.runtime.database.reading() as reader:
        rows = await reader.rows(sa.select(audit_rows.c.event).order_by(audit_rows.c.id))
    return [row.event["verb"] for row in rows if row.event["subject_id"] == story.secret]


async def test_a_secret_is_shown_to_the_technician_of_work_in_progress_and_the_customer_is_told(
    story: VaultStory,
) -> None:
    """Given work in progress, When its technician asks, Then the value is shown, on record, and told."""
    await story.kept()
    await story.in_progress()
    answer = await story.reveal()
    assert answer.status_code == 200, answer.text
    assert answer.json()["value"] == VALUE
    assert answer.headers["cache-control"] == "no-store"
    [told] = await story.told(SecretRevealed)
    assert (told.secret_id, told.secret_version) == (UUID(story.secret), 1)
    assert (told.work_request_id, told.server_id) == (UUID(story.work), UUID(story.server_ids[0]))
    assert await verbs(story) == ["keep-secret", "reveal-secret"]
    assert await story.decisions(story.secret) == [("secret.reveal", "revealed", "5.2", "2026-1")]


async def test_nobody_else_sees_it_and_no_time_else(story: VaultStory) -> None:
    """Given scheduled, running and completed work, Then only its technician sees the secret, and only meanwhile."""
    await story.kept()
    await story.scheduled()
    assert problem(await story.reveal()) == (409, "WorkNotInProgress", "5.2")
    await story.service.advance(by=timedelta(hours=1))
    await story.did("start", by=story.eve)
    assert problem(await story.reveal(by=story.tom)) == (403, "NotTheTechnician", "5.2")
    for role in (Role.CUSTOMER, Role.SUPPORT, Role.FINANCE, Role.ADMIN):
        own = story.customer_id if role is Role.CUSTOMER else None
        client = story.service.as_role(role, customer_id=own)
        assert (await story.reveal(by=client)).status_code == 403, role
    await story.did("complete", by=story.eve)
    assert problem(await story.reveal()) == (409, "WorkNotInProgress", "5.2")
    assert await story.told(SecretRevealed) == []


async def test_work_on_one_server_shows_no_secret_of_another(story: VaultStory) -> None:
    """Given secrets of another server and of another customer, Then this work shows neither."""
    await story.kept()
    own = story.secret
    other = VaultStory(story.service)
    await other.registered_customer()
    await other.server()
    theirs = await other.kept()
    await story.in_progress()
    for hidden in (theirs, str(new_id())):
        story.secret = hidden
        assert problem(await story.reveal()) == (404, "NoSuchSecret", None)
    story.secret = own
    assert (await story.reveal()).status_code == 200


async def test_what_is_listed_is_everything_but_the_value(story: VaultStory) -> None:
    """Given a kept and replaced secret, Then names, kinds, versions and times are shown to the customer and staff."""
    await story.kept(kind="ssh-key", name="deploy key")
    await story.replaced()
    [shown] = await story.secrets_shown()
    assert (shown["name"], shown["kind"], shown["version"]) == ("deploy key", "ssh-key", 2)
    assert "value" not in shown
    await story.in_progress()
    assert (await story.reveal()).json()["value"] == NEXT_VALUE


async def test_only_one_value_of_a_secret_is_kept_and_none_of_a_removed_one(story: VaultStory) -> None:
    await story.kept()
    await story.replaced()
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(secret_values)) == 1
    assert (await story.on_secret("remove", {})).status_code == 200
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(secret_values)) == 0
    assert await story.secrets_shown() == []
    assert problem(await story.on_secret("replace", {"value": VALUE, "replaces": 2})) == (409, "IllegalMove", None)
    await story.in_progress()
    assert problem(await story.reveal()) == (404, "NoSuchSecret", None)
    await story.kept()  # the name is free again


async def test_a_lost_answer_is_not_given_again_but_asked_for_anew(story: VaultStory) -> None:
    """Given a reveal whose answer was lost, When it is repeated, Then it is refused; a fresh one is on record too."""
    await story.kept()
    await story.in_progress()
    key = {"idempotency-key": "once"}
    assert (await story.reveal(headers=key)).status_code == 200
    again = await story.reveal(headers=key)
    assert problem(again) == (409, "AnswerNotKept", None)
    assert VALUE not in again.text
    assert (await story.reveal()).status_code == 200
    assert len(await story.told(SecretRevealed)) == 2


async def test_what_cannot_be_recorded_is_not_shown(story: VaultStory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an audit trail that takes nothing, When a secret is asked for, Then it is not shown."""
    await story.kept()
    await story.in_progress()

    async def fails(tx: Any) -> None:
        if tx.audit_entries:
            raise OSError("no audit trail")

    monkeypatch.setattr(story.service.runtime.database, "commit_hooks", [fails])
    answer = await story.reveal()
    assert answer.status_code >= 500
    assert VALUE[:20] not in answer.text
    monkeypatch.undo()
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(secret_reveals)) == 0
    assert await story.told(SecretRevealed) == []


async def test_a_technician_sees_so_many_an_hour_also_when_asking_at_once(story: VaultStory) -> None:
    """Given a bound of three, When six are asked for at once, Then three are shown, and more an hour later."""
    runtime = story.service.runtime
    runtime.settings = runtime.settings.model_copy(update={"reveals_per_hour": 3})
    await story.kept()
    await story.in_progress()
    answers = await asyncio.gather(*(story.reveal() for _ in range(6)))
    assert Counter(answer.status_code for answer in answers) == {200: 3, 409: 3}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"RevealedTooOften"}
    assert len(await story.told(SecretRevealed)) == 3
    await story.service.advance(by=timedelta(hours=1, seconds=1))
    assert (await story.reveal()).status_code == 200


async def test_two_who_replace_at_once_do_not_undo_each_other(story: VaultStory) -> None:
    await story.kept()
    bodies = [{"value": f"value {number}", "replaces": 1} for number in range(5)]
    answers = await asyncio.gather(*(story.on_secret("replace", body) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 4}
    [shown] = await story.secrets_shown()
    assert shown["version"] == 2


async def test_two_secrets_of_one_name_kept_at_once_are_one(story: VaultStory) -> None:
    answers = await asyncio.gather(*(story.keep() for _ in range(5)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 4}
    assert len(await story.secrets_shown()) == 1


async def test_what_cannot_be_kept_is_refused_without_being_repeated(story: VaultStory) -> None:
    malformed = (422, "MalformedRequest", None)
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"value": ""}, malformed),
        ({"value": "x" * 65_537}, malformed),
        ({"value": None}, malformed),
        ({"value": "x" * 300_000}, (413, "TooLarge", None)),
        ({"value": "a\x00b"}, malformed),
        ({"name": "root\x00"}, malformed),
        ({"name": "\u202eroot"}, malformed),
        ({"name": "x" * 201}, malformed),
        ({"kind": "fingerprint"}, malformed),
        ({"extra": 1}, malformed),
        ({"channel": "telephone"}, (422, "OralRequest", "3.1")),
    ]
    for changes, expected in cases:
        answer = await story.keep(**changes)
        assert problem(answer) == expected, str(changes)[:80]
        assert VALUE[:20] not in answer.text
        assert "xxxxxxxx" not in answer.text
    half = r'{"name": "root", "kind": "password", "value": "\ud800", "channel": "portal"}'
    path, typed = f"/v1/servers/{story.server_ids[0]}/secrets", {"content-type": "application/json"}
    assert problem(await story.http.post(path, content=half, headers=typed)) == malformed
    assert await story.secrets_shown() == []


async def test_the_largest_value_is_shown_as_it_was_kept(story: VaultStory) -> None:
    largest = "ä" * 32_768
    await story.kept(value=largest)
    await story.in_progress()
    assert (await story.reveal()).json()["value"] == largest


async def test_another_customers_server_is_like_one_that_is_not_there(story: VaultStory) -> None:
    await story.kept()
    other = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    assert problem(await story.keep(by=other)) == (404, "NoSuchServer", None)
    answer = await other.get(f"/v1/servers/{story.server_ids[0]}/secrets")
    assert problem(answer) == (404, "NoSuchServer", None)
    for verb, body in (("replace", {"value": VALUE, "replaces": 1}), ("remove", {})):
        assert problem(await story.on_secret(verb, body, by=other)) == (404, "NoSuchSecret", None)
    assert len(await story.secrets_shown()) == 1


async def test_a_reported_disclosure_flags_the_contract_until_the_secret_is_replaced(story: VaultStory) -> None:
    """Given a disclosed password, When it is replaced within 24 hours, Then the flag goes down and all is told."""
    await story.kept()
    reported = await story.reported()
    assert (reported["responsible"], reported["clause"], reported["source"]) == ("customer", "5.2", "customer")
    assert await story.flagged_since() == reported["reported_at"]
    [told] = await story.told(SecretDisclosed)
    assert told.replace_by - told.reported_at == timedelta(hours=24)
    await story.service.advance(by=timedelta(hours=23))
    await story.replaced()
    assert await story.flagged_since() is None
    [replaced] = await story.told(DisclosedSecretReplaced)
    assert replaced.in_time
    await story.service.advance(by=timedelta(hours=2))
    assert await story.told(RotationOverdue) == []
    assert await story.decisions(reported["id"]) == [
        ("disclosure.report", "customer", "5.2", "2026-1"),
        ("disclosure.settle", "replaced-in-time", "5.2", "2026-1"),
    ]


async def test_a_disclosed_secret_that_is_not_replaced_in_time_raises_an_alarm(story: VaultStory) -> None:
    """Given 24 hours without a replacement, Then it is overdue once; replaced later, it is over but was late."""
    await story.kept()
    reported = await story.reported()
    await story.service.advance(by=timedelta(hours=24))
    assert (await story.disclosure_shown())["status"] == "overdue"
    [overdue] = await story.told(RotationOverdue)
    assert overdue.disclosure_id == UUID(reported["id"])
    await story.service.advance(by=timedelta(days=1))
    assert len(await story.told(RotationOverdue)) == 1
    await story.replaced()
    assert (await story.disclosure_shown())["status"] == "replaced"
    assert await story.flagged_since() is None
    [replaced] = await story.told(DisclosedSecretReplaced)
    assert not replaced.in_time
    assert [decision[1] for decision in await story.decisions(reported["id"])] == [
        "customer",
        "overdue",
        "replaced-late",
    ]


async def test_what_was_replaced_before_it_was_reported_is_over_at_once(story: VaultStory) -> None:
    """Given a password that was disclosed and then replaced, When that is reported, Then no clock runs."""
    await story.kept()
    disclosed_at = (await story.service.now()).isoformat()
    await story.service.advance(by=timedelta(minutes=5))
    await story.replaced()
    reported = await story.reported(disclosed_at=disclosed_at)
    assert reported["status"] == "replaced"
    assert await story.flagged_since() is None
    await story.service.advance(by=timedelta(days=2))
    assert await story.told(RotationOverdue) == []


async def test_reporting_and_replacing_at_once_leave_no_clock_that_nothing_stops(story: VaultStory) -> None:
    """Whichever comes first, a disclosure of the value before is answered, and the flag says what is open."""
    await story.kept()
    disclosed_at = (await story.service.now()).isoformat()
    await story.service.advance(by=timedelta(minutes=5))
    answers = await asyncio.gather(
        story.report(disclosed_at=disclosed_at),
        story.on_secret("replace", {"value": NEXT_VALUE, "replaces": 1}),
        story.report(disclosed_at=disclosed_at),
    )
    assert [answer.status_code for answer in answers] == [201, 200, 201]
    assert await story.flagged_since() is None
    await story.service.advance(by=timedelta(days=2))
    assert await story.told(RotationOverdue) == []


async def test_what_the_company_disclosed_is_not_the_customers(story: VaultStory) -> None:
    """Given that the company let it get known, Then the responsibility is not recorded as the customer's."""
    await story.kept()
    assert (await story.reported(disclosed_by="company"))["responsible"] == "company"
    assert (await story.reported(disclosed_by="unknown"))["responsible"] == "undetermined"


async def test_a_report_that_cannot_be_is_refused_and_nothing_is_stored(story: VaultStory) -> None:
    await story.kept()
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"channel": "telephone"}, (422, "OralRequest", "3.1")),
        ({"secret_id": str(new_id())}, (404, "NoSuchSecret", None)),
        ({"server_id": str(new_id())}, (409, "ServerOutsideContract", "3.1")),
        ({"disclosed_at": "2031-01-01T00:00:00Z"}, (422, "DisclosedLater", None)),
        ({"kind": "password"}, (422, "MalformedRequest", None)),
        ({"secret_id": None}, (422, "MalformedRequest", None)),
    ]
    for changes, expected in cases:
        assert problem(await story.report(**changes)) == expected, changes
    assert await story.flagged_since() is None
    assert await story.told(SecretDisclosed) == []
