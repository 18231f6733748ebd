"""A technician's calendar: who reads it, what stands in it, and what hostile notes cannot do to it."""

import hashlib
import secrets
from typing import Any

import httpx
import icalendar
import pytest
import sqlalchemy as sa

from services.contracts.db import bookings as booking_rows
from services.contracts.db.tables import technicians
from shared.kit.auth import Role
from tests.contracts.stories.work import HOUR, WorkStory
from tests.contracts.story import START, problem

HOSTILE = "Call first; 5,5 metres up\nEND:VEVENT\r\nBEGIN:VALARM\tACTION:DISPLAY \\n" + "長" * 300


async def calendar(client: httpx.AsyncClient, path: str = "/v1/calendar.ics", **query: str) -> list[Any]:
    """The events, as a calendar program reads them."""
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/calendar")
    assert max(len(line) for line in answer.content.split(b"\r\n")) <= 75
    return list(icalendar.Calendar.from_ical(answer.content).walk("VEVENT"))


def shown(event: Any) -> tuple[str, str, int, str]:
    """(UID, status, sequence, beginning)"""
    return str(event["uid"]), str(event["status"]), int(event["sequence"]), event["dtstart"].to_ical().decode()


async def opened(client: httpx.AsyncClient) -> str:
    """A calendar program's secret."""
    secret = secrets.token_hex(32)
    body = {"secret_sha256": hashlib.sha256(secret.encode()).hexdigest()}
    assert (await client.post("/v1/calendar/open", json=body)).status_code == 200
    return secret


async def test_a_calendar_follows_the_schedule(work: WorkStory) -> None:
    await work.active()
    await work.scheduled()
    uid = f"{work.work}@mainstay"
    [event] = await calendar(work.eve)
    assert shown(event) == (uid, "CONFIRMED", 0, "20300131T130000Z")
    assert str(event["summary"]) == "Health check: web-1"
    assert str(event["location"]) == "Remote"
    [event] = await calendar(work.eve, language="zh")
    assert str(event["summary"]) == "健康检查: web-1"

    await work.did("reschedule", work.slot(START + 2 * HOUR, place="on-site"), by=work.support)
    [event] = await calendar(work.eve)
    assert shown(event) == (uid, "CONFIRMED", 1, "20300131T140000Z")
    # Tom gets it, and Eve's program is told that it is hers no more.
    await work.did("reschedule", work.slot(START + 2 * HOUR, technician="tom"), by=work.support)
    assert [shown(event)[:3] for event in await calendar(work.eve)] == [(uid, "CANCELLED", 2)]
    assert [shown(event)[:3] for event in await calendar(work.tom)] == [(uid, "CONFIRMED", 0)]
    # And back again.
    await work.did("reschedule", work.slot(START + 3 * HOUR), by=work.support)
    assert [shown(event)[:3] for event in await calendar(work.eve)] == [(uid, "CONFIRMED", 3)]
    await work.did("withdraw", {"channel": "portal"}, by=work.http)
    assert [shown(event)[:3] for event in await calendar(work.eve)] == [(uid, "CANCELLED", 4)]


async def test_what_customers_write_stays_text(work: WorkStory) -> None:
    await work.active()
    await work.asked("health-check", note=HOSTILE.replace("\r", ""))
    for verb, body in (("assess", {"rehearsed": False}), ("accept", None), ("schedule", work.slot())):
        await work.did(verb, body, by=work.eve)
    [event] = await calendar(work.eve)
    assert event.subcomponents == []
    assert HOSTILE.replace("\r", "").replace("\t", "") in str(event["description"])
    # Control characters are no text, and refused where they are written.
    for sign in ("\x00", "\x07", "\x1b", "\r", "\x85", "\u2028", "\u202e"):
        answer = await work.ask("health-check", note=f"Ring{sign}twice.")
        assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest")


async def test_an_unchanged_calendar_is_not_sent_again(work: WorkStory) -> None:
    await work.active()
    await work.scheduled()
    first = await work.eve.get("/v1/calendar.ics")
    again = await work.eve.get("/v1/calendar.ics", headers={"if-none-match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    await work.did("reschedule", work.slot(START + 2 * HOUR), by=work.support)
    changed = await work.eve.get("/v1/calendar.ics", headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]


async def test_technicians_read_their_own_calendar_and_support_any(work: WorkStory) -> None:
    await work.active()
    await work.scheduled()
    assert len(await calendar(work.eve, technician="eve")) == 1
    assert await calendar(work.tom) == []
    answer = await work.tom.get("/v1/calendar.ics", params={"technician": "eve"})
    assert problem(answer) == (403, "AnothersCalendar", "1.2")
    assert len(await calendar(work.support, technician="eve")) == 1
    assert problem(await work.support.get("/v1/calendar.ics")) == (422, "TechnicianUnnamed", None)
    for client in (work.http, work.service.as_role(Role.FINANCE)):
        assert problem(await client.get("/v1/calendar.ics")) == (403, "Forbidden", None)
    assert (await work.service.anonymous().get("/v1/calendar.ics")).status_code == 401


async def test_a_calendar_program_reads_by_a_secret_that_is_kept_hashed_and_can_be_revoked(work: WorkStory) -> None:
    await work.active()
    await work.asked("health-check", note="The key is under the mat.")
    for verb, body in (("assess", {"rehearsed": False}), ("accept", None), ("schedule", work.slot())):
        await work.did(verb, body, by=work.eve)
    nobody, feed = work.service.anonymous(), "/v1/calendar-feed.ics"
    first = await opened(work.eve)
    [event] = await calendar(nobody, feed, secret=first)
    assert shown(event)[0] == f"{work.work}@mainstay"
    assert "mat" not in str(event["description"])
    kept = await work.service.scalar(sa.select(technicians.c.feed_sha256).where(technicians.c.subject == "eve"))
    assert kept == hashlib.sha256(first.encode()).hexdigest()

    # A new secret ends the old one; revoking ends both; another technician revokes nothing.
    second = await opened(work.eve)
    assert problem(await nobody.get(feed, params={"secret": first})) == (404, "NoSuchCalendar", None)
    assert len(await calendar(nobody, feed, secret=second)) == 1
    answer = await work.tom.post("/v1/calendar/close", json={"technician": "eve"})
    assert problem(answer) == (403, "AnothersCalendar", "1.2")
    assert (await work.support.post("/v1/calendar/close", json={"technician": "eve"})).json()["open"] is False
    assert problem(await nobody.get(feed, params={"secret": second})) == (404, "NoSuchCalendar", None)
    assert problem(await work.eve.post("/v1/calendar/close", json={})) == (404, "NoSuchCalendar", None)


@pytest.mark.parametrize("secret", ["", "0" * 63, "0" * 65, "O" * 64, "%00" * 64])
async def test_what_is_no_secret_is_refused_without_being_repeated(work: WorkStory, secret: str) -> None:
    answer = await work.service.anonymous().get("/v1/calendar-feed.ics", params={"secret": secret})
    assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest")
    assert not secret or secret not in answer.text


async def test_two_technicians_do_not_share_a_secret(work: WorkStory) -> None:
    body = {"secret_sha256": "a" * 64}
    assert (await work.eve.post("/v1/calendar/open", json=body)).status_code == 200
    assert problem(await work.tom.post("/v1/calendar/open", json=body)) == (409, "SecretTaken", None)
    assert (await work.eve.post("/v1/calendar/open", json=body)).status_code == 200


async def test_a_calendar_is_bounded_and_forgets_what_is_long_over(
    work: WorkStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work.active()
    monkeypatch.setattr(booking_rows, "MOST_SHOWN", 2)
    for hour in (5, 1, 3):
        await work.scheduled(slot=work.slot(START + hour * HOUR, 1))
    begins = [shown(event)[3] for event in await calendar(work.eve)]
    assert begins == ["20300131T130000Z", "20300131T150000Z"]
    await work.service.advance(to=START + 30 * 24 * HOUR + 3 * HOUR)
    begins = [shown(event)[3] for event in await calendar(work.eve)]
    assert begins == ["20300131T150000Z", "20300131T170000Z"]
