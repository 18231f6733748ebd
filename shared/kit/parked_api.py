"""Parked events and timers over HTTP, the same in every service: list, show, retry, skip with a reason."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query

from shared.kit import audit_trail, schedule
from shared.kit.auth import Role
from shared.kit.bus import parking
from shared.kit.bus.parking import ParkedEvent
from shared.kit.db import Transaction
from shared.kit.fields import Body, Flag, Paragraph, PlainText, View
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

MOST_LISTED = 200


class ParkedView(View):
    id: UUID
    topic: str
    key: str
    type: str | None
    epoch: int
    seq: int
    status: str
    """`waiting` for its next attempt, `held` for a person, `behind` another, or `skipped`."""
    error_class: str | None
    error: str | None
    attempts: int
    parked_at: datetime
    next_attempt_at: datetime | None
    skipped_by: str | None
    skipped_reason: str | None


class ParkedList(View):
    items: list[ParkedView]


class WholeParkedView(ParkedView):
    headers: dict[str, str]
    value: str
    behind: list[UUID]


class RetryBody(Body):
    accept_gap: Flag = False
    """The missing events before it will never come: apply it without them."""


class SkipBody(Body):
    reason: Paragraph


class ParkedTimerView(View):
    id: UUID
    kind: str
    subject_id: UUID
    due_at: datetime
    attempts: int
    last_error: str | None
    parked_at: datetime | None


class ParkedTimerList(View):
    items: list[ParkedTimerView]


def router() -> HouseRouter:
    routes = HouseRouter("/v1/parked", tag="operations")

    @routes.get("/events", callers={Role.ADMIN})
    async def list_parked_events(
        reader: Read,
        error_class: Annotated[Annotated[str, PlainText] | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
    ) -> ParkedList:
        """Events that block their key, oldest first."""
        found = await parking.list_parked(reader, error_class=error_class, limit=limit)
        return ParkedList(items=[ParkedView.model_validate(event) for event in found])

    @routes.get("/events/{event_id}", callers={Role.ADMIN}, refusals=[parking.NoSuchParkedEvent])
    async def read_parked_event(event_id: UUID, reader: Read) -> WholeParkedView:
        """One parked event whole: headers, body, why it is parked, and what waits behind it."""
        event = await parking.show(reader, event_id)
        behind = await parking.followers(reader, event)
        return WholeParkedView(
            **ParkedView.model_validate(event).model_dump(),
            headers={name: value.decode("utf-8", "replace") for name, value in event.headers},
            value=event.value.decode("utf-8", "replace"),
            behind=[follower.id for follower in behind],
        )

    @routes.post(
        "/events/{event_id}/retry",
        callers={Role.ADMIN},
        refusals=[parking.NoSuchParkedEvent, parking.NotBlocking, parking.NotAGap],
    )
    async def retry_parked_event(event_id: UUID, body: RetryBody, tx: Tx) -> ParkedView:
        """Have the worker try again at once."""
        await parking.retry(tx, event_id, accept_gap=body.accept_gap)
        audit_trail.record(tx, None, "retry-event", event_id, accept_gap=body.accept_gap)
        return ParkedView.model_validate(await parking.show(tx, event_id))

    @routes.post(
        "/events/{event_id}/skip", callers={Role.ADMIN}, refusals=[parking.NoSuchParkedEvent, parking.NotBlocking]
    )
    async def skip_parked_event(event_id: UUID, body: SkipBody, tx: Tx, caller: CallerIn) -> ParkedView:
        """Go on without this event; it is kept as skipped, with who and why on the audit trail."""

        def audit(tx: Transaction, event: ParkedEvent) -> None:
            details: dict[str, Any] = {"topic": event.topic, "key": event.key, "error": event.error_class}
            audit_trail.record(tx, None, "skip-event", event.id, reason=body.reason, **details)

        await parking.skip(tx, event_id, reason=body.reason, by=caller.subject, audit=audit)
        return ParkedView.model_validate(await parking.show(tx, event_id))

    @routes.get("/timers", callers={Role.ADMIN})
    async def list_parked_timers(reader: Read) -> ParkedTimerList:
        """Timers that failed too often and wait for a person, oldest first."""
        rows = await schedule.list_parked(reader, limit=MOST_LISTED)
        return ParkedTimerList(items=[ParkedTimerView.model_validate(row) for row in rows])

    @routes.post("/timers/{timer_id}/retry", callers={Role.ADMIN}, status_code=204, refusals=[schedule.NoSuchTimer])
    async def retry_parked_timer(timer_id: UUID, tx: Tx) -> None:
        """Let a parked timer run again now."""
        await schedule.retry_parked(tx, timer_id)
        audit_trail.record(tx, None, "retry-timer", timer_id)

    return routes
