"""A poison event stops its own key and nothing else, until a retry succeeds or a person skips it."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.bus import consumer as consumer_module
from shared.kit.bus import parking
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.log import EventLog, Record
from shared.kit.bus.parking import NoSuchParkedEvent, NotAGap, NotBlocking, ParkedEvent, ReasonMissing
from shared.kit.bus.tables import consumer_positions, parked_events
from shared.kit.db import Database, DatabaseAway, LockedByAnother, Transaction
from tests.infrastructure.waiting import eventually
from tests.kit.bus.harness import PATIENT, QUICK, Bus, Language, Listener, count, heard_by, running, until_heard


async def heads(database: Database) -> list[ParkedEvent]:
    async with database.reading() as reader:
        return await parking.list_parked(reader, consumer="service")


async def until_parked(database: Database, how_many: int, *where: sa.ColumnElement[bool]) -> None:
    async def enough() -> bool:
        return await count(database, parked_events, *where) == how_many

    await eventually(enough, timeout=15, what=f"{how_many} parked events")


def consumer_of(database: Database, log: EventLog, listener: Listener, plan: parking.RetryPlan = PATIENT) -> Consumer:
    return Consumer("service", database, log, listener.handlers, plan=plan)


class TestAPoisonEvent:
    async def test_it_blocks_its_key_and_the_others_flow(self, bus: Bus, language: Language) -> None:
        database, log, poisoned, healthy = bus.service(), bus.log(), uuid4(), uuid4()
        listener = Listener(language, fail_on={13})
        await log.append(
            [language.record(poisoned, 1), language.record(poisoned, 2, data=_data(language, poisoned, 13))]
        )
        await log.append([language.record(poisoned, 3), language.record(poisoned, 4), language.record(healthy, 1)])
        async with running(consumer_of(database, log, listener)):
            await until_parked(database, 3)
            await log.append([language.record(healthy, 2)])
            await until_heard(database, {poisoned: [1], healthy: [1, 2]})
        (head,) = await heads(database)
        assert (head.key, head.seq, head.error_class, head.error) == (str(poisoned), 2, "ValueError", "no such thing")
        async with database.reading() as reader:
            assert [event.seq for event in await parking.followers(reader, head)] == [3, 4]
        assert listener.calls.count(13) >= 3, "three quick tries before an event is parked"

    async def test_once_cured_it_is_applied_and_those_behind_it_follow_in_order(
        self, bus: Bus, language: Language
    ) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        listener = Listener(language, fail_on={2})
        await log.append([language.record(thing, seq) for seq in (1, 2, 3, 4)])
        async with running(consumer_of(database, log, listener)):
            await until_parked(database, 3)
            listener.fail_on.clear()
            (head,) = await heads(database)
            async with bus.service().transaction() as tx:
                await parking.retry(tx, head.id)
            await until_heard(database, {thing: [1, 2, 3, 4]})
            await log.append([language.record(thing, 5)])
            await until_heard(database, {thing: [1, 2, 3, 4, 5]})
        assert await count(database, parked_events) == 0

    async def test_it_is_retried_by_itself_and_then_waits_for_a_person(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        listener = Listener(language, fail_on={1})
        await log.append([language.record(thing, 1)])
        async with running(consumer_of(database, log, listener, QUICK)):
            await until_parked(database, 1, parked_events.c.status == "held")
            (head,) = await heads(database)
            assert (head.attempts, head.next_attempt_at) == (QUICK.attempts, None)
            listener.fail_on.clear()
            async with database.transaction() as tx:
                await parking.retry_all(tx, consumer="service", error_class="ValueError")
            await until_heard(database, {thing: [1]})

    async def test_it_heals_without_a_person_when_the_retry_succeeds(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        listener = Listener(language, fail_on={1})

        async def recover(_tx: Transaction, _fact: Any) -> None:
            if len(listener.calls) > 5:
                listener.fail_on.clear()

        listener.before = recover
        await log.append([language.record(thing, 1), language.record(thing, 2)])
        async with running(consumer_of(database, log, listener, QUICK)):
            await until_heard(database, {thing: [1, 2]})

    async def test_a_second_poison_behind_the_first_blocks_in_its_turn(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        listener = Listener(language, fail_on={1, 3})
        await log.append([language.record(thing, seq) for seq in (1, 2, 3, 4)])
        async with running(consumer_of(database, log, listener)):
            await until_parked(database, 4)
            listener.fail_on.remove(1)
            (head,) = await heads(database)
            async with database.transaction() as tx:
                await parking.retry(tx, head.id)
            await until_parked(database, 1, parked_events.c.seq == 3, parked_events.c.attempts == 1)
        assert await heard_by(database) == {str(thing): [1, 2]}

    async def test_delivered_again_it_is_parked_once(self, bus: Bus, language: Language) -> None:
        database, log, thing, marker = bus.service(), bus.log(), uuid4(), uuid4()
        records = [language.record(thing, seq) for seq in (1, 2, 3)]
        await log.append([*records, *records, language.record(marker, 99)])
        await log.append(records)
        async with running(consumer_of(database, log, Listener(language, fail_on={1}))):
            await until_parked(database, 4)  # three of the thing, and the marker's gap
            await log.append([language.record(thing, 4)])
            await until_parked(database, 5)
        assert (await heard_by(database)).get(str(thing)) is None

    async def test_transient_trouble_parks_nothing(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        listener = Listener(language, fail_on={2})
        troubles = iter([LockedByAnother(), ConnectionResetError()])

        def trouble() -> Exception:
            error = next(troubles, None)
            if error is None:
                listener.fail_on.clear()
                return DatabaseAway()
            return error

        listener.error = trouble
        await log.append([language.record(thing, seq) for seq in (1, 2, 3)])
        async with running(consumer_of(database, log, listener)):
            await until_heard(database, {thing: [1, 2, 3]})
        assert await count(database, parked_events) == 0

    async def test_trouble_that_only_one_event_has_is_its_own(
        self, bus: Bus, language: Language, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A handler that always runs into the statement timeout looks like a database that is away."""
        monkeypatch.setattr(consumer_module, "BATCH_FAILURES_BEFORE_SINGLE", 1)
        monkeypatch.setattr(consumer_module, "STUBBORN_FAILURES", 3)
        database, log, thing, healthy = bus.service(), bus.log(), uuid4(), uuid4()
        await log.append([language.record(thing, 1), language.record(healthy, 1)])
        await log.append([language.record(healthy, 2)])
        async with running(consumer_of(database, log, Listener(language, fail_on={7}, error=DatabaseAway))):
            await until_heard(database, {thing: [1], healthy: [1, 2]})
            await log.append([language.record(thing, seq) for seq in range(2, 8)])
            await until_parked(database, 1, parked_events.c.error_class == "DatabaseAway")
            await until_heard(database, {thing: [1, 2, 3, 4, 5, 6], healthy: [1, 2]})


class TestAGap:
    async def test_it_blocks_the_key_until_the_missing_event_comes(self, bus: Bus, language: Language) -> None:
        database, log, thing, healthy = bus.service(), bus.log(), uuid4(), uuid4()
        await log.append([language.record(thing, seq) for seq in (1, 4, 3, 5)])
        await log.append([language.record(healthy, 1)])
        async with running(consumer_of(database, log, Listener(language))):
            await until_parked(database, 3)
            await until_heard(database, {thing: [1], healthy: [1]})
            (head,) = await heads(database)
            assert (head.seq, head.error_class) == (3, "Gap")
            await log.append([language.record(thing, 2)])
            await until_heard(database, {thing: [1, 2, 3, 4, 5], healthy: [1]})
        assert await count(database, parked_events) == 0

    async def test_a_key_that_does_not_begin_at_1_is_a_gap(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        await log.append([language.record(thing, 2)])
        async with running(consumer_of(database, log, Listener(language))):
            await until_parked(database, 1)
            await log.append([language.record(thing, 1)])
            await until_heard(database, {thing: [1, 2]})

    async def test_a_person_may_accept_that_the_missing_never_comes(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        await log.append([language.record(thing, seq) for seq in (1, 3, 4)])
        async with running(consumer_of(database, log, Listener(language))):
            await until_parked(database, 2)
            (head,) = await heads(database)
            async with database.transaction() as tx:
                await parking.retry(tx, head.id, accept_gap=True)
            await until_heard(database, {thing: [1, 3, 4]})


class TestSkipping:
    async def test_a_skipped_event_is_kept_with_its_reason_and_the_key_goes_on(
        self, bus: Bus, language: Language
    ) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        audited: list[ParkedEvent] = []
        await log.append([language.record(thing, seq) for seq in (1, 2, 3)])
        async with running(consumer_of(database, log, Listener(language, fail_on={2}))):
            await until_parked(database, 2)
            (head,) = await heads(database)
            async with database.transaction() as tx:
                with pytest.raises(ReasonMissing):
                    await parking.skip(tx, head.id, reason=" ", by="ada")
                await parking.skip(
                    tx, head.id, reason="sent by mistake", by="ada", audit=lambda _tx, event: audited.append(event)
                )
            await until_heard(database, {thing: [1, 3]})
            # Also when it is delivered again.
            await log.append([language.record(thing, 2), language.record(thing, 4)])
            await until_heard(database, {thing: [1, 3, 4]})
        async with database.reading() as reader:
            kept = await parking.show(reader, head.id)
        assert (kept.status, kept.skipped_by, kept.skipped_reason) == ("skipped", "ada", "sent by mistake")
        assert audited == [kept]

    async def test_all_events_of_one_error_are_skipped_together(self, bus: Bus, language: Language) -> None:
        database, log, things = bus.service(), bus.log(), [uuid4() for _ in range(5)]
        await log.append([language.record(thing, seq) for seq in (1, 2) for thing in things])
        async with running(consumer_of(database, log, Listener(language, fail_on={1}))):
            await until_parked(database, 10)
            async with database.transaction() as tx:
                for error_class, how_many in {"OtherError": 0, "ValueError": 5}.items():
                    skipped = await parking.skip_all(
                        tx, consumer="service", error_class=error_class, reason="known defect", by="ada"
                    )
                    assert skipped == how_many
            await until_heard(database, {thing: [2] for thing in things})

    async def test_only_what_blocks_a_key_is_skipped_or_retried(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        await log.append([language.record(thing, seq) for seq in (1, 2)])
        async with running(consumer_of(database, log, Listener(language, fail_on={1}))):
            await until_parked(database, 2)
        (head,) = await heads(database)
        async with database.transaction() as tx:
            (behind,) = await parking.followers(tx, head)
            with pytest.raises(NotBlocking):
                await parking.skip(tx, behind.id, reason="no", by="ada")
            with pytest.raises(NotBlocking):
                await parking.retry(tx, behind.id)
            with pytest.raises(NotAGap):
                await parking.retry(tx, head.id, accept_gap=True)
            with pytest.raises(NoSuchParkedEvent):
                await parking.skip(tx, new_id(), reason="no", by="ada")


class TestWhatCannotBeRead:
    async def test_an_unknown_type_is_skipped_and_counted(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        strange = language.envelope(thing, 2).type.replace("happened", "invented")
        await log.append(
            [language.record(thing, 1), language.record(thing, 2, type=strange), language.record(thing, 3)]
        )
        async with running(consumer_of(database, log, Listener(language))):
            await until_heard(database, {thing: [1, 3]})
        assert await count(database, parked_events) == 0

    async def test_a_type_of_the_topic_that_nobody_hears_still_counts_in_the_key(
        self, bus: Bus, language: Language
    ) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        noted, later = language.noted.type_name(), language.noted.type_name().replace(".v1", ".v2")
        await log.append([language.record(thing, 1, type=noted), language.record(thing, 2, type=later)])
        await log.append([language.record(thing, 3)])
        async with running(consumer_of(database, log, Listener(language))):
            await until_heard(database, {thing: [3]})

    async def test_a_later_minor_with_unknown_fields_is_read(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        data = {**_data(language, thing, 1), "added_later": {"deep": [1, None]}}
        await log.append([language.record(thing, 1, data=data, dataschema="mainstay:schemas/test/happened.v1.7")])
        async with running(consumer_of(database, log, Listener(language))):
            await until_heard(database, {thing: [1]})

    async def test_an_unknown_major_is_parked(self, bus: Bus, language: Language) -> None:
        database, log, thing = bus.service(), bus.log(), uuid4()
        major = language.happened.type_name().replace(".v1", ".v2")
        await log.append([language.record(thing, 1, type=major), language.record(thing, 2)])
        async with running(consumer_of(database, log, Listener(language))):
            await until_parked(database, 2)
        (head,) = await heads(database)
        assert (head.error_class, head.type) == ("UnreadableEvent", major)

    async def test_broken_bytes_are_parked_and_keep_their_place(self, bus: Bus, language: Language) -> None:
        database, log, healthy = bus.service(), bus.log(), uuid4()
        broken = {uuid4(): value for value in BROKEN}
        for thing, value in broken.items():
            record = language.record(thing, 2)
            await log.append([language.record(thing, 1), Record(record.topic, record.key, record.headers, value)])
            await log.append([language.record(thing, 3)])
        await log.append([language.record(healthy, 1)])
        async with running(consumer_of(database, log, Listener(language))):
            await until_parked(database, 2 * len(broken))
            await until_heard(database, {**{thing: [1] for thing in broken}, healthy: [1]})
            for head in await heads(database):
                assert (head.seq, head.numbered, head.error_class) == (2, True, "UnreadableEvent")
                assert head.value == broken[UUID(head.key)]
                async with database.transaction() as tx:
                    await parking.skip(tx, head.id, reason="garbage", by="ada")
            await until_heard(database, {**{thing: [1, 3] for thing in broken}, healthy: [1]})

    async def test_a_record_without_a_number_is_parked_behind_what_came_before(
        self, bus: Bus, language: Language
    ) -> None:
        database, log = bus.service(), bus.log()
        foreign = {uuid4(): headers for headers in FOREIGN}
        for thing, headers in foreign.items():
            stranger = Record(language.topic, str(thing), headers, b"hello")
            await log.append([language.record(thing, 1), stranger, language.record(thing, 2), stranger])
        async with running(consumer_of(database, log, Listener(language))):
            await until_parked(database, 3 * len(foreign))
            for _ in range(2):
                for head in await heads(database):
                    assert (head.numbered, head.value) == (False, b"hello")
                    assert head.headers == foreign[UUID(head.key)]
                    async with database.transaction() as tx:
                        await parking.skip(tx, head.id, reason="not ours", by="ada")
                await until_heard(database, {thing: [1, 2] for thing in foreign})
            await log.append([language.record(thing, 3) for thing in foreign])
            await until_heard(database, {thing: [1, 2, 3] for thing in foreign})
        assert await count(database, consumer_positions) == len(foreign)


BROKEN = [b"", b"\xff\xfe\x00", b"[]", b'{"thing_id": 7}', b"[" * 100_000, b'{"n": 1' + b"0" * 5000 + b"}"]
FOREIGN = [
    [],
    [("ce_aggseq", b"\xff\x00"), ("ce_type", b"\x00")],
    [("ce_aggseq", b"9" * 30), ("ce_aggepoch", b"1")],
    [("ce_aggseq", b"0"), ("ce_aggepoch", b"-1")],
]


def _data(language: Language, thing: UUID, number: int) -> dict[str, Any]:
    return language.fact(thing, number).model_dump(mode="json")
