"""Parked events and timers over HTTP, the same in every service: list, show, retry, skip and replay with a reason."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field

from shared.kit import audit_trail, parked_timers
from shared.kit.auth import Role
from shared.kit.bus import parking, replaying
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.parking import ParkedEvent
from shared.kit.bus.positions import Stream
from shared.kit.db import Transaction
from shared.kit.fields import Body, Flag, Line, Paragraph, PlainText, View, Whole
from shared.kit.routing import CallerIn, HouseRouter, Read, RuntimeIn, Tx

MOST_LISTED = 200
NOTHING_SINGLE = UUID(int=0)
"""The subject, on the audit trail, of what was done to several things at once."""


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


class ReasonBody(Body):
    reason: Paragraph


class OfClassBody(Body):
    error_class: Line


class OfClassReasonBody(OfClassBody):
    reason: Paragraph


class ReplayKeyBody(Body):
    topic: Line
    key: Line
    from_seq: Annotated[Whole, Field(ge=1)]
    """`aggseq` of the first event to be heard again, in the key's present epoch."""
    reason: Paragraph


class CountView(View):
    count: int
    """Of at most 1,000 events; ask again while it is."""


class ReplayedKeyView(View):
    from_seq: int
    to_seq: int
    """The number that the key had reached."""


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


@cache
def router(handlers: Handlers) -> HouseRouter:
    """Made once for each table of handlers, of which a service has one."""
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
    async def skip_parked_event(event_id: UUID, body: ReasonBody, tx: Tx, caller: CallerIn) -> ParkedView:
        """Go on without this event; it is kept as skipped, with who and why on the audit trail."""

        await parking.skip(
            tx, event_id, reason=body.reason, by=caller.subject, audit=recording("skip-event", body.reason)
        )
        return ParkedView.model_validate(await parking.show(tx, event_id))

    @routes.post(
        "/events/{event_id}/replay",
        callers={Role.ADMIN},
        refusals=[parking.NoSuchParkedEvent, replaying.NotSkipped, replaying.StillFails],
    )
    async def replay_skipped_event(event_id: UUID, body: ReasonBody, tx: Tx) -> ParkedView:
        """Apply a skipped event after all, behind what its key has had since; answers with it as it was parked."""
        event = await replaying.replay_skipped(tx, handlers, event_id)
        recording("replay-event", body.reason)(tx, event)
        return ParkedView.model_validate(event)

    @routes.post("/retry", callers={Role.ADMIN})
    async def retry_parked_events(body: OfClassBody, tx: Tx, runtime: RuntimeIn) -> CountView:
        """Have the worker try again at once whatever blocks its key with this error."""
        count = await parking.retry_all(tx, consumer=runtime.name, error_class=body.error_class)
        if count:
            audit_trail.record(tx, None, "retry-events", NOTHING_SINGLE, error=body.error_class, count=count)
        return CountView(count=count)

    @routes.post("/skip", callers={Role.ADMIN})
    async def skip_parked_events(body: OfClassReasonBody, tx: Tx, caller: CallerIn, runtime: RuntimeIn) -> CountView:
        """Go on without every event that blocks its key with this error."""
        count = await parking.skip_all(
            tx,
            consumer=runtime.name,
            error_class=body.error_class,
            reason=body.reason,
            by=caller.subject,
            audit=recording("skip-event", body.reason),
        )
        return CountView(count=count)

    @routes.post("/replay", callers={Role.ADMIN}, refusals=[replaying.StillFails])
    async def replay_skipped_events(body: OfClassReasonBody, tx: Tx, runtime: RuntimeIn) -> CountView:
        """Apply after all what was skipped with this error: all of it or, when one still fails, nothing."""
        events = await replaying.replay_all_skipped(tx, handlers, consumer=runtime.name, error_class=body.error_class)
        for event in events:
            recording("replay-event", body.reason)(tx, event)
        return CountView(count=len(events))

    @routes.post("/replay-key", callers={Role.ADMIN}, refusals=[replaying.NothingToReplay, replaying.KeyBlocked])
    async def replay_key(body: ReplayKeyBody, tx: Tx, runtime: RuntimeIn) -> ReplayedKeyView:
        """Have the worker hear one key's events again from the log, for instance after a handler was mended."""
        stream = Stream(body.topic, body.key)
        last = await replaying.replay_key(tx, runtime.name, stream, from_seq=body.from_seq)
        audit_trail.record(
            tx, None, "replay-key", NOTHING_SINGLE, **stream._asdict(), from_seq=body.from_seq, reason=body.reason
        )
        return ReplayedKeyView(from_seq=body.from_seq, to_seq=last.seq)

    @routes.get("/timers", callers={Role.ADMIN})
    async def list_parked_timers(reader: Read) -> ParkedTimerList:
        """Timers that failed too often and wait for a person, oldest first."""
        rows = await parked_timers.list_parked(reader, limit=MOST_LISTED)
        return ParkedTimerList(items=[ParkedTimerView.model_validate(row) for row in rows])

    @routes.post(
        "/timers/{timer_id}/retry", callers={Role.ADMIN}, status_code=204, refusals=[parked_timers.NoSuchTimer]
    )
    async def retry_parked_timer(timer_id: UUID, tx: Tx) -> None:
        """Let a parked timer run again now."""
        await parked_timers.retry(tx, timer_id)
        audit_trail.record(tx, None, "retry-timer", timer_id)

    return routes


def recording(verb: str, reason: str) -> parking.AuditSkip:
    """Puts on the audit trail what was done to an event, by whom and why."""

    def record(tx: Transaction, event: ParkedEvent) -> None:
        details = {"topic": event.topic, "key": event.key, "error": event.error_class, "reason": reason}
        audit_trail.record(tx, None, verb, event.id, **details)

    return record
