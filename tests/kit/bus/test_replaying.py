"""What was skipped is applied after all, and what was applied wrongly is applied again, on every adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.bus import consumer as consumer_module
from shared.kit.bus import parking, replaying
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.parking import NoSuchParkedEvent
from shared.kit.bus.positions import Position, Stream
from shared.kit.bus.replaying import KeyBlocked, NothingToReplay, NotSkipped, StillFails
from shared.kit.bus.tables import parked_events
from shared.kit.db import Database
from tests.kit.bus.harness import PATIENT, Bus, Language, Listener, count, heard_by, running, until_heard
from tests.kit.bus.test_parking import heads, until_parked


@pytest.fixture(autouse=True)
def measured_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running consumer looks now and then whether somebody has put it back."""
    monkeypatch.setattr(consumer_module, "MEASURE_SECONDS", 0.1)


@asynccontextmanager
async def listening(bus: Bus, listener: Listener) -> AsyncIterator[Database]:
    database = bus.service()
    async with running(Consumer("service", database, bus.log(), listener.handlers, plan=PATIENT)):
        yield database


async def skip_the_head(database: Database) -> UUID:
    (head,) = await heads(database)
    async with database.transaction() as tx:
        await parking.skip(tx, head.id, reason="a defect", by="ada")
    return head.id


class TestASkippedEvent:
    async def test_it_is_applied_once_behind_what_came_since(self, bus: Bus, language: Language) -> None:
        thing, listener = uuid4(), Listener(language, fail_on={2})
        await bus.log().append([language.record(thing, seq) for seq in (1, 2, 3)])
        async with listening(bus, listener) as database:
            await until_parked(database, 2)
            skipped = await skip_the_head(database)
            await until_heard(database, {thing: [1, 3]})
            listener.fail_on.clear()
            async with database.transaction() as tx:
                tx.actor = "ada"
                event = await replaying.replay_skipped(tx, listener.handlers, skipped)
                assert (event.seq, tx.actor) == (2, "ada")
            await bus.log().append([language.record(thing, 2), language.record(thing, 4)])
            await until_heard(database, {thing: [1, 3, 2, 4]})
            async with database.transaction() as tx:
                with pytest.raises(NoSuchParkedEvent):
                    await replaying.replay_skipped(tx, listener.handlers, skipped)

    async def test_it_stays_skipped_while_it_still_fails(self, bus: Bus, language: Language) -> None:
        thing, listener = uuid4(), Listener(language, fail_on={1})
        await bus.log().append([language.record(thing, seq) for seq in (1, 2)])
        async with listening(bus, listener) as database:
            await until_parked(database, 2)
            skipped = await skip_the_head(database)
            await until_heard(database, {thing: [2]})
            with pytest.raises(StillFails):
                async with database.transaction() as tx:
                    await replaying.replay_skipped(tx, listener.handlers, skipped)
            assert await heard_by(database) == {str(thing): [2]}
            assert await count(database, parked_events, parked_events.c.status == "skipped") == 1

    async def test_all_that_were_skipped_with_one_error_are_applied_or_none(self, bus: Bus, language: Language) -> None:
        things, listener = [uuid4() for _ in range(3)], Listener(language, fail_on={1})
        await bus.log().append([language.record(thing, 1) for thing in things])
        async with listening(bus, listener) as database:
            await until_parked(database, 3)
            for head in await heads(database):
                async with database.transaction() as tx:
                    await parking.skip(tx, head.id, reason="a defect", by="ada")
            with pytest.raises(StillFails):
                await replay_all(database, listener, "ValueError")
            listener.fail_on.clear()
            assert await replay_all(database, listener, "OtherError") == 0
            assert await replay_all(database, listener, "ValueError") == 3
            await until_heard(database, {thing: [1] for thing in things})
        assert await count(database, parked_events) == 0

    async def test_what_blocks_its_key_is_retried_and_not_replayed(self, bus: Bus, language: Language) -> None:
        listener = Listener(language, fail_on={1})
        await bus.log().append([language.record(uuid4(), 1)])
        async with listening(bus, listener) as database:
            await until_parked(database, 1)
            (head,) = await heads(database)
            async with database.transaction() as tx:
                with pytest.raises(NotSkipped):
                    await replaying.replay_skipped(tx, listener.handlers, head.id)


async def replay_all(database: Database, listener: Listener, error_class: str) -> int:
    async with database.transaction() as tx:
        events = await replaying.replay_all_skipped(tx, listener.handlers, consumer="service", error_class=error_class)
    return len(events)


async def replay_key(database: Database, language: Language, thing: UUID, from_seq: int) -> Position:
    async with database.transaction() as tx:
        return await replaying.replay_key(tx, "service", Stream(language.topic, str(thing)), from_seq=from_seq)


class TestAKey:
    async def test_its_events_are_heard_again_from_there_on_and_the_others_are_not(
        self, bus: Bus, language: Language
    ) -> None:
        thing, others = uuid4(), [uuid4() for _ in range(6)]
        records = [language.record(thing, seq) for seq in (1, 2, 3)]
        await bus.log().append([*records, *(language.record(other, 1) for other in others)])
        async with listening(bus, Listener(language)) as database:
            untouched = {other: [1] for other in others}
            await until_heard(database, {thing: [1, 2, 3], **untouched})
            assert await replay_key(database, language, thing, 2) == Position(1, 3)
            await until_heard(database, {thing: [1, 2, 3, 2, 3], **untouched})
            await bus.log().append([language.record(thing, 4)])
            await until_heard(database, {thing: [1, 2, 3, 2, 3, 4], **untouched})

    async def test_what_the_log_no_longer_holds_is_told_as_a_gap(self, bus: Bus, language: Language) -> None:
        thing, log = uuid4(), bus.log()
        await log.append([language.record(thing, seq) for seq in (1, 2)])
        async with listening(bus, Listener(language)) as database:
            await until_heard(database, {thing: [1, 2]})
            await bus.lose_oldest(log, language.topic)
            await log.append([language.record(thing, 3)])
            await until_heard(database, {thing: [1, 2, 3]})
            await replay_key(database, language, thing, 1)
            await until_parked(database, 1)
            (head,) = await heads(database)
            assert (head.seq, head.error_class) == (3, "Gap")

    @pytest.mark.parametrize("from_seq", [0, 2, 2**63 - 1])
    async def test_only_what_was_applied_is_heard_again(self, bus: Bus, language: Language, from_seq: int) -> None:
        thing = uuid4()
        await bus.log().append([language.record(thing, 1)])
        async with listening(bus, Listener(language)) as database:
            await until_heard(database, {thing: [1]})
            for unheard, seq in ((thing, from_seq), (new_id(), 1)):
                with pytest.raises(NothingToReplay):
                    await replay_key(database, language, unheard, seq)

    async def test_a_blocked_key_is_freed_first(self, bus: Bus, language: Language) -> None:
        thing = uuid4()
        await bus.log().append([language.record(thing, seq) for seq in (1, 2)])
        async with listening(bus, Listener(language, fail_on={2})) as database:
            await until_parked(database, 1)
            with pytest.raises(KeyBlocked):
                await replay_key(database, language, thing, 1)
            assert await count(database, parked_events, sa.true()) == 1
