"""A clock that can be moved forward, kept in the service's database so that all its processes share it."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from shared.kernel.errors import Conflict
from shared.kit.db import Reader, Transaction
from shared.kit.tables import virtual_clock


class ClockGoesForward(Conflict):
    """A clock is never moved back."""


async def now_in(reader: Reader) -> datetime:
    """Real time plus the offset this service was moved by."""
    offset = await reader.scalar(sa.select(virtual_clock.c.offset_microseconds))
    return reader.database.clock.now() + timedelta(microseconds=offset or 0)


async def advance(tx: Transaction, to: datetime) -> datetime:
    """Let the time of this service be `to` from now on; raises ClockGoesForward."""
    if to < tx.now:
        raise ClockGoesForward(field="to")
    offset = (to - tx.database.clock.now()) // timedelta(microseconds=1)
    await tx.upsert(virtual_clock, {"id": 1, "offset_microseconds": offset}, on=["id"], update=["offset_microseconds"])
    tx.rings = True
    return to
