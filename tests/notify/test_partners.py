"""Partners: links, the redacted feed and its twin topic."""

import asyncio
import json
import time
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from shared.events.envelope import Envelope
from shared.events.registry import FACTS, fact_of, partner_topic
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.bus.tables import outbox
from shared.kit.db import Database
from shared.kit.on_postgresql import OnPostgresql
from tests.infrastructure.waiting import eventually
from tests.notify.story import ADDRESS, Story, put_contact
from tests.support.service import ServiceUnderTest


class TopicsAsked:
    """Stands in for the event log where only topics are asked of it."""

    def __init__(self) -> None:
        self.topics: dict[str, int | None] = {}

    async def ensure_topics(self, topics: Collection[str], partitions: int | None = None) -> None:
        self.topics |= dict.fromkeys(topics, partitions)


@pytest.fixture(autouse=True)
def topics_asked(notify: ServiceUnderTest) -> TopicsAsked:
    asked = TopicsAsked()
    notify.runtime.log = asked  # type: ignore[assignment]
    return asked


async def a_partner(notify: ServiceUnderTest) -> UUID:
    answer = await notify.as_role(Role.ADMIN).post("/v1/partners", json={"name": "Northwind"})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


async def link(
    notify: ServiceUnderTest, partner_id: UUID, customer_id: UUID, *, channel: str = "api"
) -> httpx.Response:
    return await notify.as_role(Role.CUSTOMER, customer_id=customer_id).post(
        "/v1/partner-links",
        json={"partner_id": str(partner_id), "customer_id": str(customer_id), "channel": channel},
    )


async def read(notify: ServiceUnderTest, partner_id: UUID, **query: Any) -> dict[str, Any]:
    answer = await notify.as_role(Role.PARTNER, partner_id=partner_id).get("/v1/events", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def on_topic(notify: ServiceUnderTest, partner_id: UUID) -> list[dict[str, Any]]:
    async with notify.runtime.database.reading() as reader:
        rows = await reader.rows(
            sa.select(outbox).where(outbox.c.topic == partner_topic(partner_id)).order_by(outbox.c.id)
        )
    assert {row.key for row in rows} <= {str(partner_id)}
    return [json.loads(row.value) for row in rows]


async def test_a_partners_topic_is_made_when_it_is_registered(
    notify: ServiceUnderTest, topics_asked: TopicsAsked
) -> None:
    partner_id = await a_partner(notify)
    await notify.run_due()
    assert topics_asked.topics == {partner_topic(partner_id): 1}
    [shown] = (await notify.as_role(Role.SUPPORT).get("/v1/partners")).json()["items"]
    assert shown["topic"] == partner_topic(partner_id)
    assert shown["topic_ready_at"] is not None


async def test_a_linked_partner_reads_the_story_in_order_on_both_ways(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    assert (await link(notify, partner_id, story.customer_id)).status_code == 201
    told = [await notify.tell(fact) for fact in story.all_facts()]
    page = await read(notify, partner_id)
    assert [item["id"] for item in page["items"]] == [str(envelope.id) for envelope in told]
    assert [item["sequence"] for item in page["items"]] == [str(seq) for seq in range(1, len(told) + 1)]
    for item, envelope in zip(page["items"], told, strict=True):
        assert (item["type"], item["source"], item["subject"]) == (envelope.type, envelope.source, envelope.subject)
        assert item["time"] == envelope.structured()["time"]
    assert await on_topic(notify, partner_id) == page["items"]


async def test_no_field_but_those_for_partners_leaves(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    await link(notify, partner_id, story.customer_id)
    await put_contact(notify, story.customer_id)
    for fact in (*story.all_facts(), *story.extension_facts()):
        await notify.tell(fact)
    await notify.run_due()
    for own in await notify.announced():
        await notify.tell(own)
    public = {fact.type_name(): fact for fact in FACTS}
    items = (await read(notify, partner_id))["items"]
    assert len(items) > len(story.all_facts())
    for item in items:
        assert set(item) == {
            "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "sequence", "data",
        }  # fmt: skip
        assert set(item["data"]) <= (public[item["type"]].for_partners or frozenset()) | {"customer_id"}
    everything = json.dumps([items, await on_topic(notify, partner_id)])
    assert ADDRESS not in everything
    assert "2031-000017" not in everything
    assert "text_sha256" not in everything


async def test_a_partner_without_links_gets_an_empty_page_with_a_cursor(notify: ServiceUnderTest) -> None:
    story, partner_id, other_id = Story(), await a_partner(notify), await a_partner(notify)
    await link(notify, other_id, story.customer_id)
    await notify.tell(story.registered())
    page = await read(notify, partner_id)
    assert page["items"] == []
    assert await read(notify, partner_id, cursor=page["next_cursor"]) == page
    assert await on_topic(notify, partner_id) == []


async def test_a_partner_is_told_of_its_own_links_only(notify: ServiceUnderTest) -> None:
    story, first, second = Story(), await a_partner(notify), await a_partner(notify)
    await link(notify, first, story.customer_id)
    await link(notify, second, story.customer_id)
    for fact in await notify.announced():
        await notify.tell(fact)
    for partner_id in (first, second):
        items = (await read(notify, partner_id))["items"]
        assert [item["data"]["partner_id"] for item in items] == [str(partner_id)]


async def test_an_ended_link_stops_the_events(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    link_id = (await link(notify, partner_id, story.customer_id)).json()["id"]
    await notify.tell(story.registered())
    customer = notify.as_role(Role.CUSTOMER, customer_id=story.customer_id)
    ended = await customer.post(f"/v1/partner-links/{link_id}/end", json={"channel": "portal"})
    assert ended.json()["status"] == "ended"
    await notify.tell(story.expiring())
    assert len((await read(notify, partner_id))["items"]) == 1
    again = await customer.post(f"/v1/partner-links/{link_id}/end", json={"channel": "portal"})
    assert (again.status_code, again.json()["code"]) == (409, "IllegalMove")
    assert [type(fact).__name__ for fact in await notify.announced()] == ["PartnerLinked", "PartnerUnlinked"]
    assert (await link(notify, partner_id, story.customer_id)).status_code == 201


async def test_a_partner_is_linked_once_also_by_two_requests_at_once(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    answers = await asyncio.gather(*(link(notify, partner_id, story.customer_id) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"AlreadyLinked"}


async def test_links_are_made_in_writing_by_whom_they_concern(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    oral = await link(notify, partner_id, story.customer_id, channel="phone")
    assert (oral.status_code, oral.json()["code"], oral.json()["clause"]) == (422, "OralRequest", "3.1")
    body = {"partner_id": str(partner_id), "customer_id": str(story.customer_id), "channel": "email"}
    stranger = await notify.as_role(Role.CUSTOMER, customer_id=new_id()).post("/v1/partner-links", json=body)
    assert (stranger.status_code, stranger.json()["code"]) == (404, "NotYourself")
    unknown = await link(notify, new_id(), story.customer_id)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NoSuchPartner")
    listing = await notify.as_role(Role.ADMIN).get("/v1/partner-links")
    assert listing.json()["items"] == []
    by_support = await notify.as_role(Role.SUPPORT).post("/v1/partner-links", json=body)
    assert by_support.status_code == 201
    own = await notify.as_role(Role.PARTNER, partner_id=partner_id).get("/v1/partner-links")
    assert [item["customer_id"] for item in own.json()["items"]] == [str(story.customer_id)]
    other = await notify.as_role(Role.PARTNER, partner_id=new_id()).get("/v1/partner-links")
    assert other.json()["items"] == []
    ended = await notify.as_role(Role.CUSTOMER, customer_id=new_id()).post(
        f"/v1/partner-links/{by_support.json()['id']}/end", json={"channel": "api"}
    )
    assert (ended.status_code, ended.json()["code"]) == (404, "NoSuchLink")


async def test_pages_follow_each_other_without_gap(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    await link(notify, partner_id, story.customer_id)
    for fact in story.all_facts():
        await notify.tell(fact)
    seen: list[str] = []
    page = await read(notify, partner_id, limit=4)
    while page["items"]:
        seen += [item["sequence"] for item in page["items"]]
        page = await read(notify, partner_id, limit=4, cursor=page["next_cursor"])
    assert seen == [str(seq) for seq in range(1, len(story.all_facts()) + 1)]


async def test_events_numbered_by_handlers_at_once_have_no_gap_and_no_double(notify: ServiceUnderTest) -> None:
    stories, partner_id = [Story() for _ in range(6)], await a_partner(notify)
    for story in stories:
        await link(notify, partner_id, story.customer_id)

    async def tell_all(story: Story) -> Sequence[Envelope]:
        return [await notify.tell(fact) for fact in story.all_facts()]

    count = sum(len(story.all_facts()) for story in stories)
    reading = asyncio.create_task(_read_until(notify, partner_id, count=count))
    told = await asyncio.gather(*(tell_all(story) for story in stories))
    items = await reading
    assert [item["sequence"] for item in items] == [str(seq) for seq in range(1, count + 1)]
    order = [item["id"] for item in items]
    for envelopes in told:
        places = [order.index(str(envelope.id)) for envelope in envelopes]
        assert places == sorted(places)
    assert await on_topic(notify, partner_id) == items


async def test_telling_many_partners_takes_as_many_statements_as_telling_one(notify: ServiceUnderTest) -> None:
    story, database, taken = Story(), notify.runtime.database, []
    for more in (1, 4):
        for _ in range(more):
            await link(notify, await a_partner(notify), story.customer_id)
        before = database.statements
        await notify.tell(story.registered_customer())
        taken.append(database.statements - before)
    assert taken[0] == taken[1]


async def _read_until(notify: ServiceUnderTest, partner_id: UUID, *, count: int) -> list[dict[str, Any]]:
    """What a partner sees that follows its cursor while events are being added."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while len(items) < count:
        page = await read(notify, partner_id, wait_seconds=5, limit=7, **cursor)
        items += page["items"]
        cursor = {"cursor": page["next_cursor"]}
    return items


async def test_a_waiting_partner_gets_the_event_when_it_comes_and_holds_no_connection(
    notify: ServiceUnderTest,
) -> None:
    story, partner_id = Story(), await a_partner(notify)
    await link(notify, partner_id, story.customer_id)
    waiting = asyncio.create_task(read(notify, partner_id, wait_seconds=20))
    await _looked_and_waits(notify.runtime.database)
    envelope = await notify.tell(story.registered())
    began = time.monotonic()
    assert [item["id"] for item in (await waiting)["items"]] == [str(envelope.id)]
    assert time.monotonic() - began < 5


async def _looked_and_waits(database: Database) -> None:
    """A look has been made since, and no connection is out."""
    before = database.statements

    async def waits() -> bool:
        driver = database.driver
        return database.statements >= before + 2 and not (isinstance(driver, OnPostgresql) and driver.lent)

    await eventually(waits, timeout=5, what="a partner that waits without a connection")


async def test_events_are_kept_for_thirty_days_and_an_older_cursor_is_answered_with_the_oldest(
    notify: ServiceUnderTest,
) -> None:
    story, partner_id = Story(), await a_partner(notify)
    await link(notify, partner_id, story.customer_id)
    start = (await read(notify, partner_id))["next_cursor"]
    await notify.tell(story.registered())
    await notify.advance(by=timedelta(days=29))
    assert len((await read(notify, partner_id, cursor=start))["items"]) == 1
    late = await notify.tell(story.expiring())
    await notify.advance(by=timedelta(days=2))
    partner = notify.as_role(Role.PARTNER, partner_id=partner_id)
    gone = await partner.get("/v1/events", params={"cursor": start})
    assert (gone.status_code, gone.json()["code"]) == (410, "CursorTooOld")
    page = await read(notify, partner_id, cursor=gone.json()["facts"]["oldest_cursor"])
    assert [item["id"] for item in page["items"]] == [str(late.id)]
    assert (await read(notify, partner_id))["items"] == page["items"]


async def test_an_unknown_cursor_or_partner_is_refused(notify: ServiceUnderTest) -> None:
    partner_id, other_id = await a_partner(notify), await a_partner(notify)
    partner = notify.as_role(Role.PARTNER, partner_id=partner_id)
    for cursor in ("nonsense", (await read(notify, other_id))["next_cursor"]):
        answer = await partner.get("/v1/events", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "UnknownCursor")
    nobody = await notify.as_role(Role.PARTNER, partner_id=new_id()).get("/v1/events")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "NoSuchPartner")
    assert (await notify.as_role(Role.CUSTOMER, customer_id=new_id()).get("/v1/events")).status_code == 403
    too_long = await partner.get("/v1/events", params={"wait_seconds": 31})
    assert too_long.status_code == 422


async def test_the_announced_facts_read_back(notify: ServiceUnderTest) -> None:
    story, partner_id = Story(), await a_partner(notify)
    await link(notify, partner_id, story.customer_id)
    assert [fact_of(envelope) is not None for envelope in await notify.envelopes()] == [True]
