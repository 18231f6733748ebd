"""Calendars of technicians, for whoever is signed in and for calendar programs, which have a secret instead."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from services.contracts.api.icalendar import calendar_of
from services.contracts.api.work_in_progress import SCHEDULERS
from services.contracts.db import bookings
from services.contracts.domain.agreement import Language
from services.contracts.domain.calendar import (
    AnothersCalendar,
    NoSuchCalendar,
    SecretTaken,
    TechnicianUnnamed,
    hash_of,
)
from services.contracts.use_cases import calendars as stories
from shared.kit.auth import ANYONE, Caller, Role
from shared.kit.db import Reader
from shared.kit.fields import Body, Line, Sha256, View
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="calendars")

MEDIA_TYPE = "text/calendar"
_CALENDAR = {"responses": {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}, 304: {}}}
LanguageIn = Annotated[Language, Query(description="of the operations' names")]


class OpenCalendar(Body):
    """SHA-256 (hex) of a secret of 64 hex digits that the technician's own device made and nobody else knows.

    `secret=$(openssl rand -hex 32); printf %s "$secret" | sha256sum`
    """

    secret_sha256: Sha256


class CloseCalendar(Body):
    """Technicians close their own; support and admin name the technician."""

    technician: Line | None = None


class CalendarView(View):
    technician: str
    open: bool
    changed_at: datetime


@router.get(
    "/calendar.ics",
    callers=SCHEDULERS,
    refusals=[AnothersCalendar, TechnicianUnnamed],
    response_class=Response,
    **_CALENDAR,
)
async def read_calendar(
    request: Request,
    reader: Read,
    caller: CallerIn,
    technician: Annotated[Line | None, Query()] = None,
    language: LanguageIn = Language.EN,
) -> Response:
    """The work that a technician is booked for, cancelled work too, from thirty days ago on (iCalendar)."""
    return await _answer(request, reader, _named(caller, technician), language)


@router.get("/calendar-feed.ics", callers=ANYONE, refusals=[NoSuchCalendar], response_class=Response, **_CALENDAR)
async def read_calendar_feed(
    request: Request,
    reader: Read,
    secret: Annotated[str, Query(pattern="^[0-9a-f]{64}$")],
    language: LanguageIn = Language.EN,
) -> Response:
    """The same for a calendar program, by the secret that the technician made; without the customers' notes."""
    technician = await bookings.technician_by(reader, hash_of(secret))
    return await _answer(request, reader, technician, language, with_notes=False)


@router.post("/calendar/open", callers={Role.TECHNICIAN}, refusals=[SecretTaken])
async def open_calendar(body: OpenCalendar, tx: Tx) -> CalendarView:
    """Let a calendar program read the own calendar by a secret; a secret from before opens it no more."""
    await stories.open_calendar(tx, secret_sha256=body.secret_sha256)
    return CalendarView(technician=tx.actor, open=True, changed_at=tx.now)


@router.post("/calendar/close", callers=SCHEDULERS, refusals=[AnothersCalendar, TechnicianUnnamed, NoSuchCalendar])
async def close_calendar(body: CloseCalendar, tx: Tx, caller: CallerIn) -> CalendarView:
    """Revoke the secret of a calendar."""
    technician = _named(caller, body.technician)
    await stories.close_calendar(tx, technician)
    return CalendarView(technician=technician, open=False, changed_at=tx.now)


def _named(caller: Caller, technician: str | None) -> str:
    """Raises AnothersCalendar, TechnicianUnnamed."""
    if caller.roles & {Role.SUPPORT, Role.ADMIN}:
        if technician is None:
            raise TechnicianUnnamed(field="technician")
        return technician
    if technician not in (None, caller.subject):
        raise AnothersCalendar(field="technician")
    return caller.subject


async def _answer(
    request: Request, reader: Reader, technician: str, language: Language, *, with_notes: bool = True
) -> Response:
    entries = await bookings.entries_of(reader, technician)
    content = calendar_of(entries, language, with_notes=with_notes)
    headers = {"etag": f'"{hashlib.sha256(content).hexdigest()}"', "cache-control": "private, no-cache"}
    asked = request.headers.get("if-none-match", "")
    if headers["etag"] in (tag.strip().removeprefix("W/") for tag in asked.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=MEDIA_TYPE, headers=headers)
