"""Registering partners, linking them to customers and ending the links."""

from __future__ import annotations

from uuid import UUID

from services.notify.db import partners
from services.notify.domain.partner import NotYourself, Partner, PartnerLink, in_writing
from services.notify.use_cases.feeds import PURGE, PURGE_EVERY
from shared.events.notify import PartnerLinked, PartnerUnlinked
from shared.events.registry import partner_topic
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.bus.log import EventLog
from shared.kit.db import Database, Transaction
from shared.kit.schedule import set_timer

ENSURE_TOPIC = "partner.ensure-topic"


async def register_partner(tx: Transaction, *, name: str) -> Partner:
    partner = Partner(id=new_id(), name=name, created_at=tx.now)
    await partners.add(tx, partner)
    await set_timer(tx, ENSURE_TOPIC, partner.id, tx.now)
    await set_timer(tx, PURGE, partner.id, tx.now + PURGE_EVERY)
    audit_trail.record(tx, None, "register_partner", partner.id)
    return partner


async def ensure_topic(database: Database, log: EventLog, partner_id: UUID) -> None:
    """Have the partner's own topic exist; doing it again does no harm."""
    await log.ensure_topics([partner_topic(partner_id)], partitions=1)
    async with database.transaction() as tx:
        await partners.topic_is_ready(tx, partner_id, tx.now)


async def link_partner(
    tx: Transaction, *, partner_id: UUID, customer_id: UUID, channel: str, only_customer: UUID | None
) -> PartnerLink:
    """Raises OralRequest, NotYourself, NoSuchPartner, AlreadyLinked."""
    if only_customer is not None and only_customer != customer_id:
        raise NotYourself()
    partner = await partners.get(tx, partner_id)
    link = PartnerLink(
        id=new_id(),
        partner_id=partner.id,
        customer_id=customer_id,
        channel=in_writing(channel),
        linked_at=tx.now,
    )
    await partners.add_link(tx, link)
    tx.publish(
        PartnerLinked(link_id=link.id, partner_id=partner.id, customer_id=customer_id, changed_at=link.linked_at)
    )
    audit_trail.record(tx, customer_id, "link_partner", link.id, partner_id=str(partner.id), channel=channel)
    return link


async def end_link(tx: Transaction, link_id: UUID, *, channel: str, only_customer: UUID | None) -> PartnerLink:
    """From now on the partner reads nothing new of this customer; raises NoSuchLink, OralRequest, IllegalMove."""
    link = await partners.get_link_for_update(tx, link_id, only_customer=only_customer)
    link.end(channel=channel, now=tx.now)
    await partners.update_link(tx, link)
    tx.publish(
        PartnerUnlinked(link_id=link.id, partner_id=link.partner_id, customer_id=link.customer_id, changed_at=tx.now)
    )
    audit_trail.record(tx, link.customer_id, "end_link", link.id, channel=channel)
    return link
