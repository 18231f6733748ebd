"""The database's own clock, read inside a transaction: real time, whatever a virtual clock says."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from shared.kit.db import Reader


async def real_now(reader: Reader) -> datetime:
    if reader.dialect == "sqlite":
        return datetime.now(UTC)
    now: datetime = await reader.scalar(_CLOCK)
    return now.astimezone(UTC)


_CLOCK = sa.text("SELECT clock_timestamp()")
