"""A partner's feed of redacted events."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import Field

from services.notify.db import feeds
from services.notify.domain.feed import CursorTooOld, PartnerEvent, Stream, UnknownCursor
from services.notify.domain.partner import NoSuchPartner
from shared.kit.auth import Role
from shared.kit.db import Database
from shared.kit.fields import View
from shared.kit.paging import LARGEST_PAGE, PAGE_SIZE
from shared.kit.routing import CallerIn, HouseRouter, RuntimeIn, in_time

router = HouseRouter("/v1/events", tag="partners")

LONGEST_WAIT_SECONDS = 30
LOOK_EVERY_SECONDS = 0.5


class EventView(View):
    """A CloudEvent (structured mode); `sequence` counts without gaps in this partner's own stream."""

    specversion: str
    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    sequence: str
    data: dict[str, Any] = Field(description="the fields of the fact that partners may read")


class FeedPage(View):
    """Read on from `next_cursor`, which is always given."""

    items: list[EventView]
    next_cursor: str


@router.get("", callers={Role.PARTNER}, refusals=[NoSuchPartner, UnknownCursor, CursorTooOld], holds_reader=False)
async def read_events(
    runtime: RuntimeIn,
    caller: CallerIn,
    cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE_SIZE,
    wait_seconds: Annotated[float, Query(ge=0, le=LONGEST_WAIT_SECONDS, allow_inf_nan=False)] = 0,
) -> FeedPage:
    """Events behind the cursor in order, without gaps; waits up to `wait_seconds` for the first.

    Without a cursor it begins at the oldest event kept. Events are kept for thirty days.
    """
    partner_id = caller.partner_id or UUID(int=0)
    deadline = time.monotonic() + wait_seconds
    while True:
        stream, after, events = await _look(runtime.database, partner_id, cursor, limit)
        left = deadline - time.monotonic()
        if events or left <= 0:
            return _page(stream, after, events)
        await asyncio.sleep(min(LOOK_EVERY_SECONDS, left))


async def _look(
    database: Database, partner_id: UUID, cursor: str | None, limit: int
) -> tuple[Stream, int, list[PartnerEvent]]:
    """One short look; no connection is held while waiting for the next."""
    async with in_time(), database.reading() as reader:
        stream = await feeds.stream_of(reader, partner_id)
        after = stream.after(cursor)
        events = await feeds.events_after(reader, partner_id, after, limit=limit)
        if events and events[0].seq != after + 1:  # purged between the two reads
            stream = await feeds.stream_of(reader, partner_id)
            after = stream.after(cursor)
            events = await feeds.events_after(reader, partner_id, after, limit=limit)
    return stream, after, events


def _page(stream: Stream, after: int, events: list[PartnerEvent]) -> FeedPage:
    return FeedPage(
        items=[EventView.model_validate(event.event) for event in events],
        next_cursor=stream.cursor_at(events[-1].seq if events else after),
    )
