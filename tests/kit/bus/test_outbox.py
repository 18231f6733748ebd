"""Facts become numbered outbox rows in the command's own transaction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from shared.events.envelope import Envelope
from shared.kernel.ids import new_id
from shared.kit.bus.outbox import SHARDS, Caused, Raw, envelopes_of
from shared.kit.bus.tables import outbox as outbox_rows
from shared.kit.bus.tables import streams
from shared.kit.db import Database, Transaction
from tests.kit.bus.harness import CommandFailed, Language, PostgresBus, SqliteBus, announce_in_vain, count


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    bus: SqliteBus | PostgresBus
    if request.param == "sqlite":
        bus = SqliteBus(tmp_path)
    else:
        bus = PostgresBus(request.getfixturevalue("postgres_databases"))
    await bus.prepare()
    yield bus.service()
    await bus.close()


async def written(database: Database) -> list[sa.Row[tuple[object, ...]]]:
    async with database.reading() as reader:
        return list(await reader.rows(sa.select(outbox_rows).order_by(outbox_rows.c.id)))


def read(row: sa.Row[tuple[object, ...]]) -> Envelope:
    return Envelope.from_binary([(name, value.encode()) for name, value in row.headers], row.value)


async def test_facts_of_a_key_are_numbered_from_1_without_a_gap(database: Database, language: Language) -> None:
    one, other = uuid4(), uuid4()
    for things in ([one, other, one], [one]):
        async with database.transaction() as tx:
            for thing in things:
                tx.publish(language.fact(thing, 7))
    envelopes = [read(row) for row in await written(database)]
    assert [(envelope.subject, envelope.aggepoch, envelope.aggseq) for envelope in envelopes] == [
        (str(one), 1, 1),
        (str(other), 1, 1),
        (str(one), 1, 2),
        (str(one), 1, 3),
    ]


async def test_a_rolled_back_number_is_used_again(database: Database, language: Language) -> None:
    thing = uuid4()
    with pytest.raises(CommandFailed):
        await announce_in_vain(database, language.fact(thing, 1))
    async with database.transaction() as tx:
        tx.publish(language.fact(thing, 2))
    assert [read(row).aggseq for row in await written(database)] == [1]


async def test_the_envelope_tells_where_the_fact_comes_from(database: Database, language: Language) -> None:
    thing, cause = uuid4(), new_id()
    traceparent = f"00-{'1' * 32}-{'2' * 16}-01"
    async with database.transaction() as tx:
        tx.correlation_id, tx.causation_id, tx.traceparent = "story", str(cause), traceparent
        tx.publish(language.fact(thing, 5))
        now = tx.now
    (row,) = await written(database)
    (told,) = envelopes_of(tx)
    envelope = read(row)
    assert envelope == told
    assert envelope.source == f"/{language.happened.producer}"
    assert envelope.type == language.happened.type_name()
    assert envelope.time == now
    assert envelope.dataschema == f"mainstay:schemas/{language.happened.schema_name()}"
    assert (envelope.correlationid, envelope.causationid, envelope.traceparent) == ("story", str(cause), traceparent)
    assert envelope.data["number"] == 5
    assert (row.topic, row.key) == (language.topic, str(thing))


async def test_a_fact_without_a_story_begins_one(database: Database, language: Language) -> None:
    async with database.transaction() as tx:
        tx.publish(language.fact(uuid4(), 1))
    (envelope,) = envelopes_of(tx)
    assert (envelope.correlationid, envelope.causationid) == (str(envelope.id), None)


async def test_each_fact_of_a_batch_keeps_its_own_cause(database: Database, language: Language) -> None:
    thing = uuid4()
    async with database.transaction() as tx:
        tx.facts.append(Caused(language.fact(thing, 1), "first", "cause-1", None))
        tx.facts.append(Caused(language.fact(thing, 2), "second", "cause-2", None))
        tx.correlation_id = "the transaction's"
    assert [(each.correlationid, each.causationid) for each in envelopes_of(tx)] == [
        ("first", "cause-1"),
        ("second", "cause-2"),
    ]


async def test_a_partner_gets_a_structured_cloudevent(database: Database, language: Language) -> None:
    body = language.envelope(uuid4(), 1).structured()
    async with database.transaction() as tx:
        tx.publish(Raw("partner.7", "key", body))
    (row,) = await written(database)
    assert (row.topic, row.key) == ("partner.7", "key")
    assert row.headers == [["content-type", "application/cloudevents+json"]]
    assert json.loads(row.value) == body


async def test_a_key_always_goes_to_the_same_shard(database: Database, language: Language) -> None:
    things = [uuid4() for _ in range(200)]
    for _ in range(2):
        async with database.transaction() as tx:
            for thing in things:
                tx.publish(language.fact(thing, 1))
    shards: dict[str, set[int]] = {}
    for row in await written(database):
        shards.setdefault(row.key, set()).add(row.shard)
    assert all(len(found) == 1 for found in shards.values())
    assert set.union(*shards.values()) == set(range(SHARDS))


async def test_transactions_with_the_same_keys_in_opposite_order_do_not_deadlock(
    database: Database, language: Language
) -> None:
    things = [uuid4() for _ in range(10)]

    async def write(order: Iterator[UUID]) -> None:
        async with database.transaction() as tx:
            for thing in order:
                tx.publish(language.fact(thing, 1))

    await asyncio.gather(*(write(iter(things) if n % 2 else reversed(things)) for n in range(8)))
    assert await count(database, outbox_rows) == 80
    async with database.reading() as reader:
        assert {row.seq for row in await reader.rows(sa.select(streams.c.seq))} == {8}


async def test_ids_are_in_the_order_of_the_numbers_of_each_key(database: Database, language: Language) -> None:
    things = [uuid4() for _ in range(3)]

    async def write(tx: Transaction, thing: UUID) -> None:
        tx.publish(language.fact(thing, 1))
        await asyncio.sleep(0)

    async def many() -> None:
        for thing in things * 5:
            async with database.transaction() as tx:
                await write(tx, thing)

    await asyncio.gather(*(many() for _ in range(4)))
    numbers: dict[str, list[int]] = {}
    for row in await written(database):
        numbers.setdefault(row.key, []).append(read(row).aggseq)
    assert all(found == list(range(1, 21)) for found in numbers.values())


async def test_an_event_that_no_broker_takes_does_not_commit(database: Database) -> None:
    with pytest.raises(ValueError, match="larger than the log takes"):
        async with database.transaction() as tx:
            tx.publish(Raw("partner.7", "key", {"data": "x" * 600_000}))
    assert await count(database, outbox_rows) == 0


async def test_a_transaction_without_facts_costs_no_statement(database: Database) -> None:
    before = database.statements
    async with database.transaction():
        pass
    assert database.statements == before
