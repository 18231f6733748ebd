"""Notices and the proof of their delivery."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query

from services.notify.db import notices as stored
from services.notify.domain.attempt import Attempt, Outcome
from services.notify.domain.contact import Language, masked, without_address
from services.notify.domain.notice import NoSuchNotice, Notice, NoticeKind, NoticeStatus
from services.notify.use_cases import notices
from shared.kernel.errors import IllegalMove
from shared.kit.auth import STAFF, Role
from shared.kit.fields import View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1/notices", tag="notices")

READERS = STAFF | {Role.CUSTOMER}


class NoticeView(View):
    """`subject_id` is the contract, invoice or payment; `caused_by` the event that asked for the notice."""

    id: UUID
    kind: NoticeKind
    customer_id: UUID
    contract_id: UUID
    subject_id: UUID
    period_index: int
    caused_by: UUID
    status: NoticeStatus
    failure: Literal["refused", "expired"] | None
    clause: str
    agreement_version: str | None
    created_at: datetime
    settled_at: datetime | None


class AttemptView(View):
    """`outcome` started: the process ended before it could record an answer. Staff see addresses masked."""

    id: UUID
    at: datetime
    recipient: str
    language: Language
    outcome: Outcome
    smtp_code: int | None
    reply: str | None
    reply_sha256: str | None
    answered_at: datetime | None


class NoticeWithAttempts(NoticeView):
    attempts: list[AttemptView]


@router.get("", callers=READERS)
async def list_notices(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    subject_id: Annotated[UUID | None, Query()] = None,
    kind: Annotated[NoticeKind | None, Query()] = None,
    status: Annotated[NoticeStatus | None, Query()] = None,
) -> Page[NoticeView]:
    """Notices in the order they were asked for."""
    found = await stored.page(
        reader,
        only_customer=caller.only_customer,
        subject_id=subject_id,
        kind=kind,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, _view, lambda notice: notice.id)


@router.get("/{notice_id}", callers=READERS, refusals=[NoSuchNotice])
async def read_notice(notice_id: UUID, reader: Read, caller: CallerIn) -> NoticeWithAttempts:
    """A notice with every attempt to deliver it and what the mail server said."""
    notice = await stored.get(reader, notice_id, only_customer=caller.only_customer)
    attempts = await stored.attempts_of(reader, notice_id)
    shown = [_attempt_view(attempt, mask=caller.only_customer is None) for attempt in attempts]
    return NoticeWithAttempts(**_view(notice).model_dump(), attempts=shown)


@router.post("/{notice_id}/retry", callers={Role.SUPPORT}, refusals=[NoSuchNotice, IllegalMove])
async def retry_notice(notice_id: UUID, tx: Tx) -> NoticeView:
    """Try an undeliverable notice again, from the beginning, with the customer's present contact."""
    return _view(await notices.retry_notice(tx, notice_id))


def _view(notice: Notice) -> NoticeView:
    return NoticeView.model_validate(
        {
            **vars(notice),
            "clause": notice.clause,
            "agreement_version": notice.background.agreement_version,
        }
    )


def _attempt_view(attempt: Attempt, *, mask: bool) -> AttemptView:
    view = AttemptView.model_validate(attempt)
    if not mask:
        return view
    reply = view.reply and without_address(view.reply, attempt.recipient)
    return view.model_copy(update={"recipient": masked(attempt.recipient), "reply": reply})
