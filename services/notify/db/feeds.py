"""Partners' events in the order of their own numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.notify.db.tables import partner_events, partner_streams
from services.notify.domain.feed import PartnerEvent, Stream
from services.notify.domain.partner import NoSuchPartner
from shared.kit.bus import sets
from shared.kit.db import Reader, Transaction


async def next_seqs(tx: Transaction, partner_ids: Collection[UUID]) -> dict[UUID, int]:
    """Each partner's next number. The rows stay locked until `tx` ends, so numbers become visible in order.

    They are locked in the order of their ids, so that two transactions for many partners do not wait for each other.
    """
    columns = partner_streams.c
    theirs = sets.among(tx, columns.partner_id, partner_ids)
    locked = sa.select(columns.partner_id).where(theirs).order_by(columns.partner_id).with_for_update()
    rows = await tx.rows(
        sa.update(partner_streams)
        .where(columns.partner_id.in_(locked))
        .values(last_seq=columns.last_seq + 1)
        .returning(columns.partner_id, columns.last_seq)
    )
    return {row.partner_id: row.last_seq for row in rows}


async def add(tx: Transaction, event_id: UUID, events: Iterable[tuple[UUID, int, dict[str, Any]]]) -> None:
    """One event as each partner reads it: the partner, its number there, and the CloudEvent."""
    fixed = {"event_id": event_id, "created_at": tx.now}
    rows = [{"partner_id": partner_id, "seq": seq, "event": event, **fixed} for partner_id, seq, event in events]
    await sets.put(tx, partner_events, rows)


async def put_back(tx: Transaction, partner_id: UUID, seq: int, event_id: UUID, event: dict[str, Any]) -> None:
    """The next event after a restore, unless it is there; `seq` as the partner knows it."""
    moved = await tx.execute(
        sa.update(partner_streams)
        .where(partner_streams.c.partner_id == partner_id, partner_streams.c.last_seq < seq)
        .values(last_seq=seq)
    )
    if moved.rowcount:
        await add(tx, event_id, [(partner_id, seq, event)])


async def go_on_after(tx: Transaction, partner_id: UUID, seq: int) -> None:
    """After a restore: the partner has read up to `seq`, which is not given again; what was up to there is gone."""
    columns = partner_streams.c
    await tx.execute(
        sa.update(partner_streams)
        .where(columns.partner_id == partner_id, columns.last_seq < seq)
        .values(last_seq=seq, purged_seq=seq)
    )


async def who_has(tx: Transaction, partner_ids: Collection[UUID], event_id: UUID) -> set[UUID]:
    """Those of the partners whose feed has this event already."""
    columns = partner_events.c
    rows = await tx.rows(
        sa.select(columns.partner_id).where(
            sets.among(tx, columns.partner_id, partner_ids), columns.event_id == event_id
        )
    )
    return {row.partner_id for row in rows}


async def stream_of(reader: Reader, partner_id: UUID) -> Stream:
    """Raises NoSuchPartner."""
    row = await reader.row(sa.select(partner_streams).where(partner_streams.c.partner_id == partner_id))
    if row is None:
        raise NoSuchPartner()
    return Stream(**row._mapping)


async def streams(reader: Reader) -> list[Stream]:
    return [Stream(**row._mapping) for row in await reader.rows(sa.select(partner_streams))]


async def events_after(reader: Reader, partner_id: UUID, seq: int, *, limit: int) -> list[PartnerEvent]:
    columns = partner_events.c
    rows = await reader.rows(
        sa.select(columns.seq, columns.event, columns.created_at)
        .where(columns.partner_id == partner_id, columns.seq > seq)
        .order_by(columns.seq)
        .limit(limit)
    )
    return [PartnerEvent(**row._mapping) for row in rows]


async def purge(tx: Transaction, partner_id: UUID, before: datetime, *, limit: int) -> bool:
    """Forget the oldest events from before that instant, at most `limit`; True when there may be more."""
    events, streams = partner_events.c, partner_streams.c
    newest_old: int | None = await tx.scalar(
        sa.select(sa.func.max(events.seq)).where(events.partner_id == partner_id, events.created_at < before)
    )
    if newest_old is None:
        return False
    await tx.execute(sa.select(streams.partner_id).where(streams.partner_id == partner_id).with_for_update())
    purged: int = await tx.scalar(sa.select(streams.purged_seq).where(streams.partner_id == partner_id))
    through = min(newest_old, purged + limit)
    await tx.execute(sa.delete(partner_events).where(events.partner_id == partner_id, events.seq <= through))
    await tx.execute(
        sa.update(partner_streams).where(streams.partner_id == partner_id).values(purged_seq=max(through, purged))
    )
    return through < newest_old
