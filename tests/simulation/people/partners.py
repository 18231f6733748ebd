"""Partners read the public facts about customers linked to them, and nothing else; each keeps what it expects."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.notify.domain.partner import AlreadyLinked, NoSuchLink, NoSuchPartner, NotYourself
from services.notify.use_cases import partners
from shared.events.envelope import Envelope
from shared.events.notify import PartnerLinkFact
from shared.events.registry import fact_of, partner_topic
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove
from shared.kit.bus.log import Delivered
from tests.simulation.agenda import Dice
from tests.simulation.company import HOUR, Answer, Company
from tests.simulation.told import COMPANY, PromiseBroken, Told

DAY = timedelta(days=1)


@dataclass
class Feed:
    """What a partner should have read: event ids by number; `read` is how far its topic has been compared."""

    partner_id: UUID
    linked: set[UUID] = field(default_factory=set)
    expected: dict[int, str] = field(default_factory=dict)
    last: int = 0
    read: int = 0

    def expect(self, event_id: str) -> None:
        """Once, also when the event is heard again."""
        if event_id not in self.expected.values():
            self.last += 1
            self.expected[self.last] = event_id


class Partners:
    """The links as the simulation ordered them, beside what the product made of them."""

    def __init__(self, company: Company, dice: Dice) -> None:
        self.company = company
        self.dice = dice
        self.feeds: dict[UUID, Feed] = {}
        self._heard: set[UUID] = set()
        company.applied_by_notify = self.applied

    async def open(self, number: int) -> None:
        for index in range(number):
            answer = await self._do(
                "register a partner", lambda tx, n=index: partners.register_partner(tx, name=f"P{n}")
            )
            assert answer.result is not None
            self.feeds[answer.result.id] = Feed(answer.result.id)

    def meet(self, customer_id: UUID) -> None:
        """Some customers link a partner some day."""
        if self.dice.falls(0.3):
            partner_id = self.dice.random.choice(list(self.feeds))
            self.company.agenda.after(self.dice.between(HOUR, 200 * DAY), lambda: self.link(customer_id, partner_id))

    async def link(self, customer_id: UUID, partner_id: UUID) -> None:
        def link(partner: UUID, channel: str, only_customer: UUID) -> Any:
            return lambda tx: partners.link_partner(
                tx, partner_id=partner, customer_id=customer_id, channel=channel, only_customer=only_customer
            )

        if self.dice.falls(0.2):
            await self._do("link by phone", link(partner_id, "phone", customer_id), must=(OralRequest,))
            await self._do("link another", link(partner_id, "api", UUID(int=1)), must=(NotYourself,))
            await self._do("link nobody", link(UUID(int=3), "api", customer_id), must=(NoSuchPartner,))
        answer = await self._do("link", link(partner_id, "portal", customer_id), may=(AlreadyLinked,))
        if answer.result is not None:
            link_id: UUID = answer.result.id
            self.feeds[partner_id].linked.add(customer_id)
            if self.dice.falls(0.4):
                self.company.agenda.after(
                    self.dice.between(HOUR, 300 * DAY), lambda: self.unlink(link_id, customer_id, partner_id)
                )

    async def unlink(self, link_id: UUID, customer_id: UUID, partner_id: UUID) -> None:
        def end(only_customer: UUID) -> Any:
            return lambda tx: partners.end_link(tx, link_id, channel="portal", only_customer=only_customer)

        await self._do("end another's link", end(UUID(int=1)), must=(NoSuchLink,))
        await self._do("end the link", end(customer_id))
        self.feeds[partner_id].linked.discard(customer_id)
        await self._do("end the link again", end(customer_id), must=(IllegalMove,))
        if self.dice.falls(0.5):
            self.company.agenda.after(self.dice.between(HOUR, 60 * DAY), lambda: self.link(customer_id, partner_id))

    async def _do(self, what: str, story: Any, **options: Any) -> Answer[Any]:
        return await self.company.command("notify", COMPANY, what, story, by="support:sam", **options)

    # What should be in the feeds

    def applied(self, records: Collection[Delivered]) -> None:
        """Notify has committed these, in this order; what it had before counts once."""
        for record in records:
            told = Told(Envelope.from_binary(record.headers, record.value))
            again = told.envelope.id in self.company.to_hear_again
            self.company.to_hear_again.discard(told.envelope.id)
            if again or told.envelope.id not in self._heard:
                self._heard.add(told.envelope.id)
                self._expect(told)

    def _expect(self, told: Told) -> None:
        fact = fact_of(told.envelope)
        if fact is None or fact.for_partners is None:
            return
        for feed in self.feeds.values():
            foreign = isinstance(fact, PartnerLinkFact) and fact.partner_id != feed.partner_id
            if told.customer_id in feed.linked and not foreign:
                feed.expect(str(told.envelope.id))

    def check(self) -> None:
        """At rest: feeds and topics hold exactly what they should, in order and without a gap."""
        self._heard.clear()
        for feed in self.feeds.values():
            purged = self._check_feed(feed)
            self._check_topic(feed)
            feed.expected = {seq: event_id for seq, event_id in feed.expected.items() if seq > purged}

    def _check_feed(self, feed: Feed) -> int:
        key = feed.partner_id.hex
        streams = self.company.archive.rows(
            "SELECT last_seq, purged_seq FROM notify.partner_streams WHERE partner_id = ?", key
        )
        last, purged = streams[0]
        rows = self.company.archive.rows(
            "SELECT seq, event_id FROM notify.partner_events WHERE partner_id = ? ORDER BY seq", key
        )
        found = [(seq, str(UUID(event_id))) for seq, event_id in rows]
        wanted = [(seq, feed.expected.get(seq)) for seq in range(purged + 1, feed.last + 1)]
        if last != feed.last or found != wanted:
            raise PromiseBroken(None, f"feed of partner {key}: {last} events instead of {feed.last}, or others")
        return int(purged)

    def _check_topic(self, feed: Feed) -> None:
        for record in self.company.log.take(partner_topic(feed.partner_id)):
            event = json.loads(record.value)
            seq = int(event["sequence"])
            if seq > feed.read + 1 or event["id"] != feed.expected.get(seq):
                raise PromiseBroken(None, f"topic of partner {feed.partner_id}: {seq} after {feed.read}")
            feed.read = max(feed.read, seq)
        if feed.read != feed.last:
            raise PromiseBroken(None, f"topic of partner {feed.partner_id} ends at {feed.read}, not {feed.last}")
