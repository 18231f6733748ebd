"""The handler table, and what a handler finds in its transaction."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from shared.events.envelope import Envelope, UnreadableEvent
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.outbox import envelopes_of
from shared.kit.bus.tables import outbox as outbox_rows
from shared.kit.db import Transaction
from tests.infrastructure.waiting import eventually
from tests.kit.bus.harness import PATIENT, Bus, Happened, Language, count, running


def test_a_consumer_subscribes_to_the_topics_that_its_handlers_need(language: Language) -> None:
    handlers = Handlers()

    @handlers.on(language.happened)
    async def one(_tx: Transaction, _fact: Happened, _envelope: Envelope) -> None: ...

    @handlers.on_any(["b.topic", "a.topic"])
    async def two(_tx: Transaction, _envelope: Envelope) -> None: ...

    assert handlers.topics == sorted([language.topic, "a.topic", "b.topic"])


def test_only_known_types_reach_a_handler_for_any(language: Language) -> None:
    handlers = Handlers()

    @handlers.on_any([language.topic])
    async def fan_out(_tx: Transaction, _envelope: Envelope) -> None: ...

    thing = uuid4()
    assert len(handlers.handlers_of(language.envelope(thing, 1))) == 1
    assert len(handlers.handlers_of(language.envelope(thing, 1, type=language.noted.type_name()))) == 1
    assert handlers.handlers_of(language.envelope(thing, 1, type="mainstay.nobody.knows.v1")) == []
    with pytest.raises(UnreadableEvent):
        handlers.handlers_of(language.envelope(thing, 1, type=language.noted.type_name().replace(".v1", ".v9")))
    with pytest.raises(UnreadableEvent):
        handlers.handlers_of(language.envelope(thing, 1, data={}))


async def test_what_a_handler_announces_is_caused_by_the_event(bus: Bus, language: Language) -> None:
    database, log, things = bus.service(), bus.log(), [uuid4() for _ in range(5)]
    seen: dict[str, tuple[str, str | None, str | None]] = {}
    transactions: set[Transaction] = set()
    handlers = Handlers()

    @handlers.on(language.happened)
    async def answer(tx: Transaction, fact: Happened, envelope: Envelope) -> None:
        seen[str(envelope.id)] = (tx.actor, tx.correlation_id, tx.traceparent)
        transactions.add(tx)
        tx.publish(language.noted(customer_id=fact.customer_id, thing_id=fact.thing_id, number=fact.number))

    trace = f"00-{'1' * 32}-{'2' * 16}-01"
    causes = [
        language.envelope(thing, 1, correlationid=f"story-{n}", traceparent=trace) for n, thing in enumerate(things)
    ]
    records = [language.record(thing, 1, id=cause.id, correlationid=cause.correlationid, traceparent=trace)
               for thing, cause in zip(things, causes, strict=True)]  # fmt: skip
    await log.append(records)

    async def all_seen() -> bool:
        return await count(database, outbox_rows) == len(things)

    async with running(Consumer("service", database, log, handlers, plan=PATIENT)):
        await eventually(all_seen, what="the answers")
    answers = [envelope for tx in transactions for envelope in envelopes_of(tx)]
    by_id = {str(cause.id): cause for cause in causes}
    assert {answer.causationid for answer in answers} == by_id.keys() == seen.keys()
    for answered in answers:
        cause = by_id[str(answered.causationid)]
        assert (answered.subject, answered.correlationid) == (cause.subject, cause.correlationid)
        assert answered.traceparent == trace
        assert seen[str(cause.id)] == (f"event:{cause.type}", cause.correlationid, trace)


async def test_a_consumer_without_handlers_waits_to_be_stopped(bus: Bus) -> None:
    async with running(Consumer("service", bus.service(), bus.log(), Handlers())):
        await asyncio.sleep(0)
