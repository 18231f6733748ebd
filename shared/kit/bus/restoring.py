"""After a restore from a backup: what the log says that the database told and has forgotten, and a new epoch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from shared.events.envelope import Envelope
from shared.kit.bus import outbox, sets
from shared.kit.bus.handlers import Handlers, run_handlers
from shared.kit.bus.log import Delivered, EventLog, Partition, ReadBounds
from shared.kit.bus.positions import Position, Stream, by_topic, position_in
from shared.kit.bus.tables import streams
from shared.kit.db import Database, Reader, Transaction

BATCH = 500
POLL_SECONDS = 1.0

IsForgotten = Callable[[Delivered], bool]


async def _no_topics(_reader: Reader) -> Mapping[str, IsForgotten]:
    return {}


async def _nothing(_tx: Transaction, _record: Delivered) -> None:
    return None


@dataclass
class Memory:
    """What a service takes from what it told before it was restored, and does not know any more.

    `facts` hears its own facts. `topics` names those outside the published language and tells what of them is
    forgotten; `recall` takes such a record.
    """

    facts: Handlers = field(default_factory=Handlers)
    topics: Callable[[Reader], Awaitable[Mapping[str, IsForgotten]]] = _no_topics
    recall: Callable[[Transaction, Delivered], Awaitable[None]] = _nothing


@dataclass(frozen=True)
class Restored:
    """The new epoch, and the facts that the log holds and the database does not know, by their time."""

    epoch: int
    forgotten: Sequence[Envelope]


Audit = Callable[[Transaction, Restored], Awaitable[None]]


async def restore(
    database: Database,
    log: EventLog,
    service: str,
    topics: Collection[str],
    memory: Memory,
    audit: Audit,
    *,
    told: Callable[[int], object] = lambda _count: None,
) -> Restored:
    """Take from the log what can be taken, and begin an epoch. Doing it again does no harm; raises LogAway.

    No process of the service may write meanwhile, nor between the restore and this. `audit` runs in the transaction.
    `told` hears how many records have been read so far.
    """
    async with database.reading() as reader:
        own = await memory.topics(reader)
    facts: dict[tuple[Stream, Position], Envelope] = {}
    others: list[Delivered] = []
    count = 0
    async for records in all_on(log, reader_after_restore(service), [*topics, *own]):
        others += [record for record in records if record.topic in own and own[record.topic](record)]
        async with database.reading() as reader:
            facts.update(await _forgotten(reader, [record for record in records if record.topic not in own]))
        count += len(records)
        told(count)
    async with database.transaction() as tx:
        actor = tx.actor
        for envelope in facts.values():
            await run_handlers(tx, envelope, memory.facts.handlers_of(envelope))
        for record in others:
            await memory.recall(tx, record)
        forgotten = sorted(facts.values(), key=lambda envelope: (envelope.time, envelope.id))
        restored = Restored(await outbox.bump_epoch(tx), forgotten)
        tx.actor = actor
        await audit(tx, restored)
    return restored


def reader_after_restore(service: str) -> str:
    """The name that it reads the log by, apart from its consumer's."""
    return f"{service}.restored"


async def _forgotten(reader: Reader, records: Sequence[Delivered]) -> dict[tuple[Stream, Position], Envelope]:
    known = await told_of(reader, {Stream(record.topic, record.key) for record in records})
    found = {}
    for record in records:
        stream, position = Stream(record.topic, record.key), position_in(record)
        if position is not None and position > known.get(stream, Position(0, 0)):
            found[stream, position] = Envelope.from_binary(record.headers, record.value)
    return found


async def told_of(reader: Reader, keys: Collection[Stream]) -> dict[Stream, Position]:
    """How far this database knows that it has told of each key."""
    columns = streams.c
    found = {}
    for topic, names in by_topic(keys).items():
        rows = await reader.rows(
            sa.select(columns.key, columns.epoch, columns.seq).where(
                columns.topic == topic, sets.among(reader, columns.key, names)
            )
        )
        found.update({Stream(topic, row.key): Position(row.epoch, row.seq) for row in rows})
    return found


async def all_on(
    log: EventLog, name: str, topics: Collection[str], *, begin_at: Mapping[Partition, int] | None = None
) -> AsyncIterator[Sequence[Delivered]]:
    """Everything that the log holds of these topics by now, in the order of each key; raises LogAway.

    `name` is that of nobody else who reads meanwhile. `begin_at`: offsets before which nothing is wanted.
    """
    earliest = begin_at or {}
    ends: dict[Partition, int] = {}
    reached: dict[Partition, int] = {}

    async def from_the_oldest(assigned: Collection[Partition], read_bounds: ReadBounds) -> Mapping[Partition, int]:
        bounds = await read_bounds()
        ends.update({partition: bounds[partition].end for partition in assigned})
        begin = {
            partition: min(max(bounds[partition].oldest, earliest.get(partition, 0)), bounds[partition].end)
            for partition in assigned
        }
        reached.update(begin)
        return begin

    await log.ensure_topics(topics)
    subscription = log.subscribe(name, topics, from_the_oldest)
    try:
        while True:
            batches = await subscription.poll(BATCH, POLL_SECONDS)
            for partition, batch in batches.items():
                reached[partition] = batch.next
                yield batch.records
            complete = {partition.topic for partition in ends} >= set(topics)
            if not batches and complete and all(reached[partition] >= end for partition, end in ends.items()):
                return
    finally:
        await subscription.close()
