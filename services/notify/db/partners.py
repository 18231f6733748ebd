"""Partners and their links to customers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.notify.db.tables import partner_links, partner_streams, partners
from services.notify.domain.partner import AlreadyLinked, LinkStatus, NoSuchLink, NoSuchPartner, Partner, PartnerLink
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction


async def add(tx: Transaction, partner: Partner) -> None:
    """With it, its empty stream of events."""
    await tx.insert(partners, vars(partner))
    await tx.insert(partner_streams, {"partner_id": partner.id, "last_seq": 0, "purged_seq": 0})


async def get(reader: Reader, partner_id: UUID) -> Partner:
    """Raises NoSuchPartner."""
    row = await reader.row(sa.select(partners).where(partners.c.id == partner_id))
    if row is None:
        raise NoSuchPartner()
    return Partner(**row._mapping)


async def page(reader: Reader, *, after: UUID | None, limit: int) -> list[Partner]:
    query = sa.select(partners).order_by(partners.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(partners.c.id > after)
    return [Partner(**row._mapping) for row in await reader.rows(query)]


async def topic_is_ready(tx: Transaction, partner_id: UUID, at: datetime) -> None:
    await tx.execute(sa.update(partners).where(partners.c.id == partner_id).values(topic_ready_at=at))


async def add_link(tx: Transaction, link: PartnerLink) -> None:
    """Raises AlreadyLinked."""
    live = sa.select(partner_links.c.id).where(
        partner_links.c.customer_id == link.customer_id,
        partner_links.c.partner_id == link.partner_id,
        sa.text("status = 'linked'"),
    )
    # The partial unique index decides between two at once; without a target it also covers that index.
    if await tx.scalar(live) is not None or not await tx.insert_once(partner_links, _row(link)):
        raise AlreadyLinked()


async def get_link_for_update(tx: Transaction, link_id: UUID, *, only_customer: UUID | None) -> PartnerLink:
    """Raises NoSuchLink, also for another customer's."""
    query = sa.select(partner_links).where(partner_links.c.id == link_id).with_for_update()
    if only_customer is not None:
        query = query.where(partner_links.c.customer_id == only_customer)
    row = await tx.row(query)
    if row is None:
        raise NoSuchLink()
    return _link(row)


async def update_link(tx: Transaction, link: PartnerLink) -> None:
    """Raises StaleWrite."""
    result = await tx.execute(
        sa.update(partner_links)
        .where(partner_links.c.id == link.id, partner_links.c.version == link.version)
        .values({**_row(link), "version": link.version + 1})
    )
    if result.rowcount != 1:
        raise StaleWrite()
    link.version += 1


async def page_of_links(
    reader: Reader,
    *,
    only_customer: UUID | None,
    only_partner: UUID | None,
    status: LinkStatus | None,
    after: UUID | None,
    limit: int,
) -> list[PartnerLink]:
    query = sa.select(partner_links).order_by(partner_links.c.id).limit(limit + 1)
    wanted = {"customer_id": only_customer, "partner_id": only_partner, "status": status}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(partner_links.c[name] == value)
    if after is not None:
        query = query.where(partner_links.c.id > after)
    return [_link(row) for row in await reader.rows(query)]


async def linked_to(tx: Transaction, customer_id: UUID) -> list[UUID]:
    """Partners linked to the customer, sorted; until the end of `tx` nobody ends these links."""
    rows = await tx.rows(
        sa.select(partner_links.c.partner_id)
        .where(partner_links.c.customer_id == customer_id, sa.text("status = 'linked'"))
        .with_for_update(read=True)
    )
    return sorted(row.partner_id for row in rows)


def _link(row: Any) -> PartnerLink:
    return PartnerLink(**{**row._mapping, "status": LinkStatus(row.status)})


def _row(link: PartnerLink) -> dict[str, Any]:
    return {**vars(link), "status": link.status.value}
