"""Calls that are under way, and the pages they caused."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.notify.db.tables import calls, pages
from services.notify.domain.page import Call, Page, PageReason, PageStatus
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

_UNDER_WAY = sa.text("ended_at IS NULL")


async def add_call(tx: Transaction, call: Call) -> bool:
    """False when it was heard of before."""
    return await tx.insert_once(calls, vars(call), on=["emergency_id"])


async def call_for_update(tx: Transaction, emergency_id: UUID) -> Call | None:
    row = await tx.row(sa.select(calls).where(calls.c.emergency_id == emergency_id).with_for_update())
    return None if row is None else Call(**row._mapping)


async def save_call(tx: Transaction, call: Call) -> None:
    """By whoever has locked it."""
    await tx.execute(sa.update(calls).where(calls.c.emergency_id == call.emergency_id).values(**vars(call)))


async def add(tx: Transaction, page: Page) -> bool:
    """False when this person was paged by this escalation before."""
    return await tx.insert_once(pages, vars(page), on=["emergency_id", "escalation", "subject"])


async def get_for_update(tx: Transaction, page_id: UUID) -> Page:
    row = await tx.row(sa.select(pages).where(pages.c.id == page_id).with_for_update())
    assert row is not None, "pages are never deleted"
    return _page(row)


async def emergency_of(reader: Reader, page_id: UUID) -> UUID:
    found: UUID = await reader.scalar(sa.select(pages.c.emergency_id).where(pages.c.id == page_id))
    return found


async def save(tx: Transaction, page: Page) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(pages).where(pages.c.id == page.id, pages.c.version == page.version)
    page.version += 1
    if (await tx.execute(guarded.values(**vars(page)))).rowcount != 1:
        raise StaleWrite()


async def listed(reader: Reader, *, emergency_id: UUID | None, after: UUID | None, limit: int) -> list[Page]:
    """Up to `limit` + 1 pages in id order."""
    query = sa.select(pages).order_by(pages.c.id).limit(limit + 1)
    if emergency_id is not None:
        query = query.where(pages.c.emergency_id == emergency_id)
    if after is not None:
        query = query.where(pages.c.id > after)
    return [_page(row) for row in await reader.rows(query)]


async def first_unheard(reader: Reader) -> datetime | None:
    """When the oldest call under way was made of which no page arrived, none is on its way, or nobody was to be paged.

    What one escalation could not reach another may have.
    """
    reached = sa.exists().where(
        pages.c.emergency_id == calls.c.emergency_id, pages.c.status.in_([PageStatus.PENDING, PageStatus.DELIVERED])
    )
    query = sa.select(sa.func.min(calls.c.called_at, type_=calls.c.called_at.type)).where(_UNDER_WAY, ~reached)
    found: datetime | None = await reader.scalar(query)
    return found


def _page(row: sa.Row[Any]) -> Page:
    return Page(**{**row._mapping, "reason": PageReason(row.reason), "status": PageStatus(row.status)})
