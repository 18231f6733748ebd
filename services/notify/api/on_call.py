"""Who of the company is reached where, who is on call, and whom emergencies paged (1.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import Field

from services.notify.db import pages, staff
from services.notify.domain.contact import LONGEST_ADDRESS, Language, NotAnAddress, masked
from services.notify.domain.page import Page as EmergencyPage
from services.notify.domain.page import PageReason, PageStatus
from services.notify.domain.staff import (
    MOST_POSITIONS,
    NoSuchShift,
    NoSuchStaff,
    Shift,
    ShiftImpossible,
    ShiftOver,
    StaffContact,
    StillOnCall,
)
from services.notify.use_cases import on_call as stories
from shared.kernel.errors import StaleWrite
from shared.kit.auth import STAFF, Role
from shared.kit.fields import Body, Flag, Line, View, When
from shared.kit.paging import Page, Paging
from shared.kit.routing import HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="on call")

PLANNERS = frozenset({Role.SUPPORT, Role.ADMIN})
MOST_STAFF = 500

Subject = Annotated[Line, Path(description="who it is to the identity provider: the `sub` of the token")]


class StaffContactBody(Body):
    """An `administrator` is paged when nobody is on call, answers, or can be reached."""

    email: Annotated[Line, Field(description=f"name@domain, at most {LONGEST_ADDRESS} characters")]
    language: Language
    administrator: Flag


class ShiftBody(Body):
    """From `starts_at` to before `ends_at`; position 1 is paged first. Several may share a position."""

    subject: Line
    position: Annotated[int, Field(strict=True, ge=1, le=MOST_POSITIONS)]
    starts_at: When
    ends_at: When


class StaffContactView(View):
    """The address is masked."""

    subject: str
    email: str
    language: Language
    administrator: bool

    @classmethod
    def of(cls, contact: StaffContact) -> StaffContactView:
        return cls.model_validate({**vars(contact), "email": masked(contact.email)})


class StaffView(View):
    items: list[StaffContactView]


class ShiftView(View):
    id: UUID
    subject: str
    position: int
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None

    @classmethod
    def of(cls, shift: Shift) -> ShiftView:
        return cls.model_validate(shift)


class OnCallView(View):
    """Who is on call at this moment, first positions first; nobody when it is empty."""

    items: list[ShiftView]


class PageView(View):
    """`escalation` 0 is the first call; `smtp_code` and `reply_sha256` are the mail server's last answer."""

    id: UUID
    emergency_id: UUID
    escalation: int
    subject: str
    reason: PageReason
    status: PageStatus
    tries: int
    smtp_code: int | None
    reply_sha256: str | None
    created_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, page: EmergencyPage) -> PageView:
        return cls.model_validate(page)


@router.put("/staff-contacts/{subject}", callers={Role.ADMIN}, refusals=[NotAnAddress, StaleWrite])
async def put_staff_contact(subject: Subject, body: StaffContactBody, tx: Tx) -> StaffContactView:
    """Keep where somebody of the company is paged."""
    contact = await stories.put_staff_contact(
        tx, subject, email=body.email, language=body.language, administrator=body.administrator
    )
    return StaffContactView.of(contact)


@router.get("/staff-contacts", callers=PLANNERS)
async def list_staff_contacts(reader: Read) -> StaffView:
    """Everybody who can be paged."""
    return StaffView(items=[StaffContactView.of(each) for each in await staff.all_contacts(reader, most=MOST_STAFF)])


@router.delete("/staff-contacts/{subject}", callers={Role.ADMIN}, status_code=204, refusals=[NoSuchStaff, StillOnCall])
async def remove_staff_contact(subject: Subject, tx: Tx) -> None:
    """Forget somebody who has no shift to come."""
    await stories.remove_staff_contact(tx, subject)


@router.post("/on-call-shifts", callers=PLANNERS, status_code=201, refusals=[NoSuchStaff, ShiftImpossible])
async def add_shift(body: ShiftBody, tx: Tx) -> ShiftView:
    """Put somebody on call."""
    shift = await stories.add_shift(
        tx, body.subject, position=body.position, starts_at=body.starts_at, ends_at=body.ends_at
    )
    return ShiftView.of(shift)


@router.get("/on-call-shifts", callers=STAFF)
async def list_shifts(reader: Read, paging: Paging) -> Page[ShiftView]:
    """Shifts that are not over, in the order in which they were planned."""
    found = await staff.shifts_to_come(reader, after=paging.after, limit=paging.limit)
    return paging.page(found, ShiftView.of, lambda shift: shift.id)


@router.post("/on-call-shifts/{shift_id}/cancel", callers=PLANNERS, refusals=[NoSuchShift, ShiftOver])
async def cancel_shift(shift_id: UUID, tx: Tx) -> ShiftView:
    """Take somebody off call, from now on."""
    return ShiftView.of(await stories.cancel_shift(tx, shift_id))


@router.get("/on-call", callers=STAFF)
async def read_on_call(reader: Read) -> OnCallView:
    """Who is on call at this moment."""
    return OnCallView(items=[ShiftView.of(shift) for shift, _ in await staff.on_call(reader)])


@router.get("/emergency-pages", callers=STAFF)
async def list_pages(
    reader: Read, paging: Paging, emergency_id: Annotated[UUID | None, Query()] = None
) -> Page[PageView]:
    """Whom emergencies paged, and what became of it, oldest first."""
    found = await pages.listed(reader, emergency_id=emergency_id, after=paging.after, limit=paging.limit)
    return paging.page(found, PageView.of, lambda page: page.id)
