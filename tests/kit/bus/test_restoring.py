"""A producer restored from a backup learns from the log what it has forgotten, and is heard from then on."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid4

from shared.events.envelope import Envelope
from shared.kernel.ids import new_id
from shared.kit.bus import restoring
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.log import Delivered, EventLog, Record
from shared.kit.bus.relay import Relay
from shared.kit.bus.restoring import IsForgotten, Memory, Restored
from shared.kit.db import Database, Reader, Transaction
from tests.kit.bus.harness import PATIENT, Bus, Happened, Language, Listener, running, until_heard


async def tell(database: Database, language: Language, *facts: tuple[UUID, int]) -> None:
    async with database.transaction() as tx:
        for thing, number in facts:
            tx.publish(language.fact(thing, number))


async def restore(database: Database, log: EventLog, language: Language, memory: Memory | None = None) -> Restored:
    seen: list[Restored] = []

    async def audit(tx: Transaction, found: Restored) -> None:
        assert tx.actor == "system", "what is recorded is not blamed on an event"
        seen.append(found)

    found = await restoring.restore(database, log, "producer", [language.topic], memory or Memory(), audit)
    assert seen == [found]
    return found


async def test_what_was_told_after_the_backup_is_listed_and_recalled_in_order(bus: Bus, language: Language) -> None:
    producer, log, kept, lost = bus.service("producer"), bus.log(), uuid4(), uuid4()
    async with running(Relay(producer, log, name="producer")):
        await tell(producer, language, (kept, 1), (kept, 2))
        await until_told(log, language, 2)
    # Told in a future that the database was put back from; a relay may have repeated itself.
    told = [language.record(kept, 3), language.record(kept, 3), language.record(lost, 1), language.record(kept, 4)]
    await log.append(told)
    recalled: list[tuple[UUID, int]] = []
    memory = Memory()

    @memory.facts.on(language.happened)
    async def recall(_tx: Transaction, fact: Happened, _envelope: Envelope) -> None:
        recalled.append((fact.thing_id, fact.number))

    found = await restore(producer, log, language, memory)
    assert sorted((each.subject, each.aggseq) for each in found.forgotten) == sorted(
        [(str(kept), 3), (str(kept), 4), (str(lost), 1)]
    )
    assert [number for thing, number in recalled if thing == kept] == [3, 4]
    again = await restore(producer, log, language)
    assert again.epoch > found.epoch > 1
    assert len(again.forgotten) == 3


async def test_who_heard_the_forgotten_hears_what_is_told_next(bus: Bus, language: Language) -> None:
    producer, consumer, log, thing = bus.service("producer"), bus.service(), bus.log(), uuid4()
    heard_by = Consumer("service", consumer, bus.log(), Listener(language).handlers, plan=PATIENT)
    async with running(Relay(producer, log, name="producer"), heard_by):
        await tell(producer, language, (thing, 1), (thing, 2))
        await until_heard(consumer, {thing: [1, 2]})
        await log.append([language.record(thing, 3)])
        await until_heard(consumer, {thing: [1, 2, 3]})
        await restore(producer, log, language)
        await tell(producer, language, (thing, 30), (thing, 31))
        await until_heard(consumer, {thing: [1, 2, 3, 30, 31]})
        assert (await restore(producer, log, language)).forgotten == [], "what the new epoch told is known"


async def test_what_is_outside_the_language_is_recalled_as_its_service_says(bus: Bus, language: Language) -> None:
    producer, log, topic = bus.service("producer"), bus.log(), f"partner.{uuid4()}"
    await log.append([Record(topic, "one", [], str(number).encode()) for number in (1, 2, 3)])
    recalled: list[bytes] = []

    async def topics(_reader: Reader) -> Mapping[str, IsForgotten]:
        return {topic: lambda record: int(record.value) > 1}

    async def recall(_tx: Transaction, record: Delivered) -> None:
        recalled.append(record.value)

    found = await restore(producer, log, language, Memory(topics=topics, recall=recall))
    assert (recalled, found.forgotten) == ([b"2", b"3"], [])


async def until_told(log: EventLog, language: Language, how_many: int) -> None:
    found: list[Delivered] = []
    while len(found) < how_many:
        found = [one async for some in restoring.all_on(log, f"test.{new_id()}", [language.topic]) for one in some]
