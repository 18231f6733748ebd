"""The database's own clock, read inside a transaction: real time, whatever a virtual clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from shared.kit.db import Instant, Reader


async def real_now(reader: Reader) -> datetime:
    if reader.dialect == "sqlite":
        return datetime.now(UTC)
    now: datetime = await reader.scalar(_CLOCK)
    return now.astimezone(UTC)


async def clock_of(reader: Reader, *, after: timedelta = timedelta()) -> sa.ColumnElement[datetime]:
    """The same clock, `after` from now, as part of a statement: saves the question before it."""
    if reader.dialect == "sqlite":
        return sa.literal(await real_now(reader) + after, Instant)
    clock: sa.ColumnElement[datetime] = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))
    return clock + after if after else clock


_CLOCK = sa.text("SELECT clock_timestamp()")
