"""Giving linked partners the redacted facts: in their feed and on their topic, in the same order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.notify.db import feeds, partners
from services.notify.domain.feed import KEPT_FOR, redacted_event
from shared.events.envelope import Envelope, Fact
from shared.events.notify import PartnerLinkFact
from shared.events.registry import partner_topic
from shared.kit.bus.log import Delivered
from shared.kit.bus.outbox import Raw
from shared.kit.bus.restoring import IsForgotten
from shared.kit.db import Reader, Transaction
from shared.kit.schedule import set_timer

PURGE = "partner.purge"
PURGE_EVERY = timedelta(days=1)
PURGE_BATCH = 5_000


async def fan_out(tx: Transaction, fact: Fact, envelope: Envelope) -> None:
    """One event for each partner linked to the fact's customer at this moment, also when the fact is replayed."""
    data = fact.redacted()
    if data is None:
        return
    linked = await partners.linked_to(tx, fact.customer_id)
    if isinstance(fact, PartnerLinkFact):
        # Whom else a customer works with is none of a partner's business.
        linked = [partner_id for partner_id in linked if partner_id == fact.partner_id]
    told = await feeds.who_has(tx, linked, envelope.id) if linked else set()
    linked = [partner_id for partner_id in linked if partner_id not in told]
    if not linked:
        return
    numbers = await feeds.next_seqs(tx, linked)
    events = [(partner_id, numbers[partner_id], _event(envelope, numbers[partner_id], data)) for partner_id in linked]
    await feeds.add(tx, envelope.id, events)
    for partner_id, _seq, event in events:
        tx.publish(Raw(partner_topic(partner_id), str(partner_id), event))


def _event(envelope: Envelope, seq: int, data: dict[str, Any]) -> dict[str, Any]:
    return redacted_event(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        subject=envelope.subject,
        time=envelope.time,
        seq=seq,
        data=data,
    )


async def told_to_partners(reader: Reader) -> Mapping[str, IsForgotten]:
    """Each partner's topic, and which of its records the feed has forgotten."""

    def forgotten_after(last_seq: int) -> IsForgotten:
        return lambda record: _sequence(record) > last_seq

    streams = await feeds.streams(reader)
    return {partner_topic(stream.partner_id): forgotten_after(stream.last_seq) for stream in streams}


async def recall_event(tx: Transaction, record: Delivered) -> None:
    """The partner has read this event under this number: it stays in the feed, so that its cursor does not lie."""
    event = json.loads(record.value)
    await feeds.put_back(tx, UUID(record.key), _sequence(record), UUID(event["id"]), event)


def _sequence(record: Delivered) -> int:
    return int(json.loads(record.value)["sequence"])


async def purge_feed(tx: Transaction, partner_id: UUID) -> None:
    """Forget what is older than thirty days, and come back."""
    more = await feeds.purge(tx, partner_id, tx.now - KEPT_FOR, limit=PURGE_BATCH)
    await set_timer(tx, PURGE, partner_id, tx.now if more else tx.now + PURGE_EVERY)
