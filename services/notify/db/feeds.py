"""Partners' events in the order of their own numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.notify.db.tables import partner_events, partner_streams
from services.notify.domain.feed import PartnerEvent, Stream
from services.notify.domain.partner import NoSuchPartner
from shared.kit.db import Reader, Transaction


async def next_seq(tx: Transaction, partner_id: UUID) -> int:
    """The partner's next number. The row stays locked until `tx` ends, so numbers become visible in order."""
    seq: int = await tx.scalar(
        sa.update(partner_streams)
        .where(partner_streams.c.partner_id == partner_id)
        .values(last_seq=partner_streams.c.last_seq + 1)
        .returning(partner_streams.c.last_seq)
    )
    return seq


async def add(tx: Transaction, partner_id: UUID, seq: int, event_id: UUID, event: dict[str, Any]) -> None:
    values = {"partner_id": partner_id, "seq": seq, "event_id": event_id, "event": event, "created_at": tx.now}
    await tx.insert(partner_events, values)


async def stream_of(reader: Reader, partner_id: UUID) -> Stream:
    """Raises NoSuchPartner."""
    row = await reader.row(sa.select(partner_streams).where(partner_streams.c.partner_id == partner_id))
    if row is None:
        raise NoSuchPartner()
    return Stream(**row._mapping)


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
