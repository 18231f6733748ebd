"""A partner is told a fact once: when the fact is replayed, and when the feed was restored from a backup."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from services.notify import consumers
from services.notify.db.tables import partner_events, partner_streams
from shared.events.envelope import Envelope
from shared.events.registry import partner_topic
from shared.kit.bus.log import Delivered
from tests.notify.story import Story
from tests.notify.test_partners import a_partner, link, on_topic, read
from tests.support.service import ServiceUnderTest


async def hear_again(notify: ServiceUnderTest, envelope: Envelope) -> None:
    async with notify.runtime.database.transaction() as tx:
        await consumers.pass_on_to_partners(tx, envelope)


async def recall(notify: ServiceUnderTest, records: list[Delivered]) -> int:
    """As after a restore: what of these records is forgotten is put back; returns how many."""
    async with notify.runtime.database.transaction() as tx:
        is_forgotten = await consumers.memory.topics(tx)
        forgotten = [record for record in records if is_forgotten[record.topic](record)]
        for record in forgotten:
            await consumers.memory.recall(tx, record)
    return len(forgotten)


async def records_on_topic(notify: ServiceUnderTest, partner_id: UUID) -> list[Delivered]:
    return [
        Delivered(
            partner_topic(partner_id), str(partner_id), [], json.dumps(event).encode(), 0, offset, datetime.now(UTC)
        )
        for offset, event in enumerate(await on_topic(notify, partner_id))
    ]


async def test_a_fact_that_is_replayed_is_told_a_partner_once(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    await link(notify, partner_id, story.customer_id)
    envelope = await notify.tell(story.accepted())
    later_id = await a_partner(notify)
    await link(notify, later_id, story.customer_id)
    await hear_again(notify, envelope)
    for reader in (partner_id, later_id):
        page = await read(notify, reader)
        assert [item["id"] for item in page["items"]] == [str(envelope.id)]
        assert await on_topic(notify, reader) == page["items"]


async def test_a_restored_feed_is_completed_from_the_topic_and_its_cursors_stay_valid(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    await link(notify, partner_id, story.customer_id)
    told = [await notify.tell(fact) for fact in (story.accepted(), story.invoiced(), story.registered())]
    before = await read(notify, partner_id)
    records = await records_on_topic(notify, partner_id)
    async with notify.runtime.database.transaction() as tx:
        await tx.execute(sa.delete(partner_events).where(partner_events.c.seq > 1))
        await tx.execute(sa.update(partner_streams).values(last_seq=1))
    assert await recall(notify, [*records, records[-1]]) == 3
    assert await recall(notify, records) == 0
    for envelope in reversed(told):  # the consumer has rewound itself, and hears them in any order
        await hear_again(notify, envelope)
    assert (await read(notify, partner_id))["items"] == before["items"]
    assert (await read(notify, partner_id, cursor=before["next_cursor"]))["items"] == []
