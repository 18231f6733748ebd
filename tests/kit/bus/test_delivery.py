"""Once a command is answered its events are neither lost nor applied twice, and each key's arrive in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.events.registry import partner_topic
from shared.kernel.ids import new_id
from shared.kit.bus import metrics, positions
from shared.kit.bus.consumer import Consumer, Fenced
from shared.kit.bus.log import Batch, EventLog, LogAway, Partition, Record
from shared.kit.bus.outbox import bump_epoch
from shared.kit.bus.relay import Relay
from shared.kit.bus.tables import consumer_offsets, consumer_positions, outbox, parked_events
from shared.kit.db import Database, Transaction
from tests.infrastructure.waiting import eventually
from tests.kit.bus.harness import (
    LEASE_SECONDS,
    PATIENT,
    QUICK,
    Bus,
    CommandFailed,
    Happened,
    Language,
    Listener,
    announce,
    announce_in_vain,
    count,
    heard,
    heard_by,
    running,
    until_heard,
)


class ThinIce:
    """A log that takes some of the records, or all of them without saying so, or none."""

    def __init__(self, log: EventLog, seed: int) -> None:
        self._log = log
        self._random = random.Random(seed)

    async def append(self, records: Sequence[Record]) -> None:
        mood = self._random.choice(["well", "well", "half", "mute", "away"])
        if mood == "away":
            raise LogAway()
        await self._log.append(records[: len(records) // 2] if mood == "half" else records)
        if mood in {"half", "mute"}:
            raise LogAway()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class KilledBeforeDelete(Relay):
    """Dies each time between the log's acknowledgement and the deletion, for the first few batches."""

    lives = 3

    async def _forget(self, rows: Sequence[sa.Row[Any]]) -> None:
        if self.lives > 0:
            self.lives -= 1
            raise ConnectionResetError("killed")
        await super()._forget(rows)


def relay(database: Database, log: EventLog) -> Relay:
    return Relay(database, log, name="service", lease_seconds=LEASE_SECONDS)


def some_things(how_many: int) -> list[UUID]:
    return [uuid4() for _ in range(how_many)]


class TestNothingIsLostAndNothingIsAppliedTwice:
    async def test_every_announced_fact_is_applied_once(self, bus: Bus, language: Language) -> None:
        database, log, things = bus.service(), bus.log(), some_things(20)
        facts = [language.fact(thing, number) for number in range(1, 6) for thing in things]
        consumer = Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)
        async with running(relay(database, log), consumer):
            await announce(database, facts, at_once=7)
            await until_heard(database, {thing: [1, 2, 3, 4, 5] for thing in things})
        assert await count(database, outbox) == 0
        assert await count(database, parked_events) == 0

    async def test_a_relay_killed_between_acknowledgement_and_deletion_makes_only_duplicates(
        self, bus: Bus, language: Language
    ) -> None:
        database, log, things = bus.service(), bus.log(), some_things(5)
        await announce(database, [language.fact(thing, n) for n in range(1, 4) for thing in things], at_once=5)
        killed = KilledBeforeDelete(database, log, name="service")
        for _ in range(KilledBeforeDelete.lives):
            with pytest.raises(ConnectionResetError):
                await killed.publish_once(range(16))
        await killed.publish_once(range(16))
        async with running(Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)):
            await until_heard(database, {thing: [1, 2, 3] for thing in things})
            after = [language.fact(thing, 4) for thing in things]
            await announce(database, after, at_once=5)
            await killed.publish_once(range(16))
            await until_heard(database, {thing: [1, 2, 3, 4] for thing in things})

    async def test_a_consumer_killed_in_the_middle_goes_on_where_it_was(self, bus: Bus, language: Language) -> None:
        database, log, things = bus.service(), bus.log(), some_things(4)
        await announce(database, [language.fact(thing, n) for n in range(1, 6) for thing in things], at_once=20)
        listener, reached = Listener(language), asyncio.Event()
        deadly_calls = {7, 13}

        async def die(_tx: Transaction, _fact: Happened) -> None:
            if len(listener.calls) in deadly_calls:
                reached.set()
                await asyncio.Event().wait()

        listener.before = die
        async with running(relay(database, log)):
            for _ in range(2):
                replica = Consumer("service", database, log, listener.handlers, plan=PATIENT, batch=3)
                task = asyncio.create_task(replica.run(asyncio.Event()))
                await asyncio.wait_for(reached.wait(), 20)
                deadly_calls.discard(len(listener.calls))
                reached.clear()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            async with running(Consumer("service", database, log, listener.handlers, plan=PATIENT)):
                await until_heard(database, {thing: list(range(1, 6)) for thing in things})

    async def test_events_outlive_a_log_that_fails_in_every_way(self, bus: Bus, language: Language) -> None:
        database, log, things = bus.service(), bus.log(), some_things(8)
        thin_ice = ThinIce(log, seed=7)
        consumer = Consumer("service", database, log, Listener(language).handlers, plan=QUICK)
        async with running(relay(database, thin_ice), consumer):
            facts = [language.fact(thing, n) for n in range(1, 9) for thing in things]
            await announce(database, facts, at_once=3)
            await until_heard(database, {thing: list(range(1, 9)) for thing in things})
        assert await count(database, parked_events) == 0


class TestOnlyCommittedFactsLeave:
    async def test_a_rolled_back_command_announces_nothing(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        with pytest.raises(CommandFailed):
            await announce_in_vain(database, language.fact(thing, 1))
        assert await count(database, outbox) == 0
        await announce(database, [language.fact(thing, 2)])
        consumer = Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)
        async with running(relay(database, log), consumer):
            await until_heard(database, {thing: [2]})


class TestOrderWithinAKey:
    async def test_writers_that_race_for_the_same_keys_keep_their_order(self, bus: Bus, language: Language) -> None:
        """The number is taken from the stream's own counter, so that the order of commits is known."""
        database, log, things = bus.service(), bus.log(), some_things(3)
        next_number = dict.fromkeys(things, 0)
        locks = {thing: asyncio.Lock() for thing in things}

        async def write(seed: int) -> None:
            order = random.Random(seed)
            for _ in range(8):
                mine = order.sample(things, 2)
                async with locks[min(mine)], locks[max(mine)], database.transaction() as tx:
                    for thing in mine:
                        next_number[thing] += 1
                        tx.publish(language.fact(thing, next_number[thing]))

        consumer = Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)
        async with running(relay(database, log), consumer):
            await asyncio.gather(*(write(seed) for seed in range(5)))
            await until_heard(database, {thing: list(range(1, next_number[thing] + 1)) for thing in things})

    async def test_relays_that_overlap_never_invert_a_key(self, bus: Bus, language: Language) -> None:
        """Zombies: every relay believes it owns every shard, and the log fails at random."""
        database, log, things = bus.service(), bus.log(), some_things(4)
        zombies = [Relay(bus.service(), ThinIce(log, seed), name="service") for seed in (1, 2, 3)]

        async def haunt(zombie: Relay) -> None:
            async def all_gone() -> bool:
                await zombie.publish_once(range(16))
                return await count(database, outbox) == 0

            await eventually(all_gone, what="an empty outbox")

        await announce(database, [language.fact(thing, n) for n in range(1, 13) for thing in things], at_once=5)
        await asyncio.gather(*map(haunt, zombies))
        async with running(Consumer("service", database, log, Listener(language).handlers, plan=QUICK)):
            await until_heard(database, {thing: list(range(1, 13)) for thing in things})
        assert await count(database, parked_events) == 0


async def test_a_partners_topic_has_one_partition_whoever_comes_first(bus: Bus) -> None:
    log, topic = bus.log(), partner_topic(new_id())
    await log.append([Record(topic, "its partner", [], b"{}")])
    assert list(await log.bounds([topic])) == [Partition(topic, 0)]


class TestSeveralReplicas:
    async def test_two_relays_and_two_consumers_share_the_work(self, bus: Bus, language: Language) -> None:
        database, things = bus.service(), some_things(24)
        logs = [bus.log(), bus.log()]
        listeners = [Listener(language), Listener(language)]
        relays = [relay(database, logs[0]), relay(bus.service(), logs[1])]
        consumers = [
            Consumer("service", bus.service(), log, listener.handlers, plan=PATIENT)
            for log, listener in zip(logs, listeners, strict=True)
        ]
        expected: dict[UUID, list[int]] = {thing: [] for thing in things}
        async with running(*relays, *consumers):
            for number in range(1, 200):
                for thing in things:
                    expected[thing].append(number)
                await announce(database, [language.fact(thing, number) for thing in things], at_once=24)
                await until_heard(database, expected)
                shards = [len(each._leases.owned) for each in relays]
                if all(listener.calls for listener in listeners) and shards == [8, 8]:
                    break
            else:
                pytest.fail("the work was never shared")

    async def test_what_a_stopped_replica_had_is_taken_over_at_once(self, bus: Bus, language: Language) -> None:
        database, log, things = bus.service(), bus.log(), some_things(6)
        first = Consumer("service", bus.service(), bus.log(), Listener(language).handlers, plan=PATIENT)
        async with running(relay(database, log)):
            async with running(first):
                await announce(database, [language.fact(thing, 1) for thing in things], at_once=6)
                await until_heard(database, {thing: [1] for thing in things})
            second = Consumer("service", bus.service(), bus.log(), Listener(language).handlers, plan=PATIENT)
            async with running(second):
                await announce(database, [language.fact(thing, 2) for thing in things], at_once=6)
                await until_heard(database, {thing: [1, 2] for thing in things}, timeout=5)

    async def test_what_a_dead_replica_had_is_taken_over_when_its_time_runs_out(
        self, bus: Bus, language: Language
    ) -> None:
        database, log, things = bus.service(), bus.log(), some_things(6)
        dead_relay = relay(database, log)
        await dead_relay._leases.renew([(shard,) for shard in range(16)])
        dead = log.subscribe("service", [language.topic], _from_the_start)
        await log.ensure_topics([language.topic])
        await dead.poll(1, 0.2)
        await _die(dead)
        live = Consumer("service", bus.service(), bus.log(), Listener(language).handlers, plan=PATIENT)
        async with running(relay(database, bus.log()), live):
            await announce(database, [language.fact(thing, 1) for thing in things], at_once=6)
            await until_heard(database, {thing: [1] for thing in things})


class TestAZombieIsFenced:
    async def test_of_two_replicas_with_the_same_batch_one_applies_it(self, bus: Bus, language: Language) -> None:
        database, log, things = bus.service(), bus.log(), some_things(5)
        await log.append([language.record(thing, seq) for seq in (1, 2) for thing in things])
        replicas = [
            Consumer("service", bus.service(), log, Listener(language).handlers, plan=PATIENT) for _ in range(2)
        ]
        subscription = log.subscribe("service", [language.topic], replicas[0]._load_offsets)
        try:
            batches: dict[Partition, Batch] = {}
            while sum([len(batch.records) for batch in batches.values()]) < 10:
                for partition, batch in (await subscription.poll(100, 1.0)).items():
                    assert partition not in batches
                    batches[partition] = batch
            outcomes = await asyncio.gather(*(replica._apply(batches) for replica in replicas), return_exceptions=True)
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Fenced", "NoneType"]
            with pytest.raises(Fenced):
                await replicas[1]._apply(batches)
        finally:
            await subscription.close()
        assert await heard_by(database) == {str(thing): [1, 2] for thing in things}


class TestDuplicates:
    async def test_an_event_delivered_again_is_dropped(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        first, second = language.record(thing, 1), language.record(thing, 2)
        await log.append([first, second, first, second, first, language.record(thing, 3)])
        async with running(Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)):
            await until_heard(database, {thing: [1, 2, 3]})

    async def test_offsets_set_back_apply_nothing_again(self, bus: Bus, language: Language) -> None:
        database, log, things = bus.service(), bus.log(), some_things(4)
        await log.append([language.record(thing, seq) for seq in (1, 2, 3) for thing in things])
        listener = Listener(language)
        async with running(Consumer("service", database, log, listener.handlers, plan=PATIENT)):
            await until_heard(database, {thing: [1, 2, 3] for thing in things})
        async with database.transaction() as tx:
            for number in range(3):
                await positions.restart_from(tx, "service", Partition(language.topic, number), 0)
        async with running(Consumer("service", database, log, listener.handlers, plan=PATIENT)):
            await log.append([language.record(thing, 4) for thing in things])
            await until_heard(database, {thing: [1, 2, 3, 4] for thing in things})


class TestARestoredProducer:
    async def test_its_new_events_are_taken_in_a_higher_epoch(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        producer = bus.service("producer")
        consumer = Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)
        async with running(relay(producer, log), consumer):
            await announce(producer, [language.fact(thing, n) for n in (1, 2, 3)])
            await until_heard(database, {thing: [1, 2, 3]})
            # The restore forgot the last two events, the consumers did not.
            async with producer.transaction() as tx:
                await tx.execute(sa.text("UPDATE streams SET seq = 1"))
                epoch = await bump_epoch(tx)
                assert await bump_epoch(tx) > epoch
            await announce(producer, [language.fact(thing, n) for n in (4, 5)])
            await until_heard(database, {thing: [1, 2, 3, 4, 5]})
            stale = language.record(thing, 9, epoch=1)
            await log.append([stale])
            await announce(producer, [language.fact(thing, 6)])
            await until_heard(database, {thing: [1, 2, 3, 4, 5, 6]})
        assert await count(database, parked_events) == 0


class TestARestoredConsumer:
    async def test_it_rewinds_itself_and_converges(self, bus: Bus, language: Language) -> None:
        database, log, things = bus.service(), bus.log(), some_things(5)
        tables = (consumer_offsets, consumer_positions, heard)

        async def backup() -> list[list[dict[str, Any]]]:
            async with database.reading() as reader:
                return [[dict(row._mapping) for row in await reader.rows(sa.select(table))] for table in tables]

        await log.append([language.record(thing, 1) for thing in things])
        async with running(Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)):
            await until_heard(database, {thing: [1] for thing in things})
        saved = await backup()
        await log.append([language.record(thing, seq) for seq in (2, 3) for thing in things])
        async with running(Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)):
            await until_heard(database, {thing: [1, 2, 3] for thing in things})
            # Restored under the running replica: the fence sends it back to the older offsets.
            async with database.transaction() as tx:
                for table, rows in zip(tables, saved, strict=True):
                    await tx.execute(sa.delete(table))
                    await tx.insert(table, rows)
            await log.append([language.record(thing, 4) for thing in things])
            await until_heard(database, {thing: [1, 2, 3, 4] for thing in things})


class TestRetention:
    async def test_a_consumer_whose_records_are_gone_stops_there_until_a_person_decides(
        self, bus: Bus, language: Language
    ) -> None:
        database, log, thing, other = bus.service(), bus.log(), uuid4(), uuid4()
        async with running(Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)):
            await log.append([language.record(thing, 1)])
            await until_heard(database, {thing: [1]})
        await log.append([language.record(thing, seq) for seq in (2, 3)])
        await bus.lose_oldest(log, language.topic)
        await log.append([language.record(thing, 4), language.record(other, 9)])
        stopped = Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)
        async with running(stopped):
            await eventually(lambda: _true(stopped._stuck), what="the alarm")
            assert await heard_by(database) == {str(thing): [1]}
            stuck = next(iter(stopped._stuck))
            bounds = await _bounds(log, language.topic, stuck)
            alarm = metrics.RETENTION_PASSED.labels("service", *map(str, stuck))
            assert alarm._value.get() == 1
            # Whoever raised the alarm ends it, also where another replica is the one that reads on.
            stopped._subscription = None
            async with database.transaction() as tx:
                await positions.restart_from(tx, "service", stuck, bounds)
            assert stuck in await stopped._to_be_settled()
            assert alarm._value.get() == 0
        async with running(Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)):
            # What was lost shows as a gap; a key never seen may begin in the middle.
            await eventually(lambda: _parked_gap(database, thing), what="the gap")

    async def test_a_new_consumer_may_begin_in_the_middle_of_a_log_that_forgot_its_beginning(
        self, bus: Bus, language: Language
    ) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        await log.append([language.record(thing, seq) for seq in (1, 2, 3)])
        await bus.lose_oldest(log, language.topic)
        await log.append([language.record(thing, seq) for seq in (4, 5)])
        async with running(Consumer("service", database, log, Listener(language).handlers, plan=PATIENT)):
            await until_heard(database, {thing: [4, 5]})


class TestWaking:
    async def test_an_event_is_applied_soon_after_its_commit(self, bus: Bus, language: Language) -> None:
        """API, relay and consumer each have connections of their own, as three processes would."""
        database, thing = bus.service(), uuid4()
        worker = relay(bus.service(), bus.log())
        consumer = Consumer("service", bus.service(), bus.log(), Listener(language).handlers, plan=PATIENT)
        database.doorbells.append(worker.doorbell.ring)
        loop, seconds = asyncio.get_running_loop(), []
        async with running(worker, consumer):
            await announce(database, [language.fact(thing, 1)])
            await until_heard(database, {thing: [1]})
            for number in range(2, 12):
                began = loop.time()
                await announce(database, [language.fact(thing, number)])
                await until_heard(database, {thing: list(range(1, number + 1))})
                seconds.append(loop.time() - began)
        assert sorted(seconds)[len(seconds) // 2] < 0.25, seconds


async def _true(value: Any) -> bool:
    return bool(value)


async def _from_the_start(assigned: Any, _bounds: Any) -> dict[Partition, int]:
    return dict.fromkeys(assigned, 0)


async def _die(subscription: Any) -> None:
    """End without a word to anybody."""
    if hasattr(subscription, "_keeper"):
        subscription._keeper.cancel()
    else:
        subscription._client._coordinator._heartbeat_task.cancel()
        subscription._client._coordinator._coordination_task.cancel()
        subscription._client._closed = True
        subscription._client._fetcher._fetch_task.cancel()
        await subscription._client._client.close()


async def _bounds(log: EventLog, topic: str, partition: Partition) -> int:
    found: dict[Partition, int] = {}

    async def load(assigned: Any, bounds: Any) -> dict[Partition, int]:
        found.update({each: limits.oldest for each, limits in (await bounds()).items()})
        return {}

    subscription = log.subscribe(f"onlooker-{new_id()}", [topic], load)
    try:
        while partition not in found:
            await subscription.poll(1, 0.1)
    finally:
        await subscription.close()
    return found[partition]


async def _parked_gap(database: Any, thing: UUID) -> bool:
    where = (parked_events.c.key == str(thing), parked_events.c.error_class == "Gap")
    return await count(database, parked_events, *where) == 1
