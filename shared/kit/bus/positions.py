"""How far a consumer is: offsets per partition, and the highest (epoch, seq) applied per key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple

import sqlalchemy as sa

from shared.kernel.errors import NotFound
from shared.kit.bus import sets
from shared.kit.bus.log import Delivered, Partition
from shared.kit.bus.tables import consumer_offsets, consumer_positions
from shared.kit.db import Reader, Transaction
from shared.kit.statements import Fixed

FROM_THE_OLDEST = -1
"""In place of an offset: whatever the log still holds when it is read."""


class NoSuchPartition(NotFound):
    """This consumer does not read that partition."""


class Position(NamedTuple):
    """Where a key is; seq 0 before its first event."""

    epoch: int
    seq: int


class Stream(NamedTuple):
    topic: str
    key: str


class Verdict(Enum):
    NEXT = "next"
    DUPLICATE = "duplicate"
    GAP = "gap"


class StoredOffset(NamedTuple):
    next: int
    start: int


def judge(last: Position | None, event: Position, *, from_the_beginning: bool) -> Verdict:
    """Whether `event` is the one after `last`.

    A key never seen may begin at any seq only for a consumer that itself began in the middle of the log.
    """
    if last is None:
        return Verdict.NEXT if event.seq == 1 or not from_the_beginning else Verdict.GAP
    if event <= last:
        return Verdict.DUPLICATE
    expected = last.seq + 1 if event.epoch == last.epoch else 1
    return Verdict.NEXT if event.seq == expected else Verdict.GAP


async def read_positions(reader: Reader, consumer: str, streams: Collection[Stream]) -> dict[Stream, Position]:
    columns = consumer_positions.c
    found: dict[Stream, Position] = {}
    for topic, keys in by_topic(streams).items():
        rows = await reader.rows(
            sa.select(columns.key, columns.epoch, columns.seq).where(
                columns.consumer == consumer, columns.topic == topic, sets.among(reader, columns.key, keys)
            )
        )
        found.update((Stream(topic, row.key), Position(row.epoch, row.seq)) for row in rows)
    return found


async def write_positions(tx: Transaction, consumer: str, positions: Mapping[Stream, Position]) -> None:
    rows = [
        {"consumer": consumer, "topic": topic, "key": key, "epoch": position.epoch, "seq": position.seq}
        for (topic, key), position in sorted(positions.items())
    ]
    await sets.put(tx, consumer_positions, rows, on=("consumer", "topic", "key"), update=("epoch", "seq"))


async def read_offsets(reader: Reader, consumer: str, topics: Collection[str]) -> dict[Partition, StoredOffset]:
    columns = consumer_offsets.c
    rows = await reader.rows(
        sa.select(columns.topic, columns.partition, columns.next_offset, columns.start_offset).where(
            columns.consumer == consumer, sets.among(reader, columns.topic, topics)
        )
    )
    return {Partition(row.topic, row.partition): StoredOffset(row.next_offset, row.start_offset) for row in rows}


async def lock_partition(tx: Transaction, consumer: str, topic: str, partition: int) -> StoredOffset | None:
    """Keep everybody else from applying events of this partition until the commit."""
    columns = consumer_offsets.c
    row = await tx.row(
        sa.select(columns.next_offset, columns.start_offset)
        .where(columns.consumer == consumer, columns.topic == topic, columns.partition == partition)
        .with_for_update()
    )
    return None if row is None else StoredOffset(row.next_offset, row.start_offset)


async def advance_offsets(
    tx: Transaction, consumer: str, moves: Mapping[Partition, tuple[int, int]]
) -> dict[Partition, StoredOffset] | None:
    """Move each partition from one offset to another; None when any is not where it was thought to be.

    The rows stay locked until the commit, so of two replicas with the same batch one gets None.
    """
    order = sorted(moves.items())
    if tx.dialect == "postgresql":
        given: Any = {
            "of_consumer": consumer,
            "topics": [partition.topic for partition, _ in order],
            "partitions": [partition.number for partition, _ in order],
            "froms": [start for _, (start, _end) in order],
            "tos": [end for _, (_start, end) in order],
        }
        rows: Sequence[Any] = await tx.rows(_ADVANCE_ON_POSTGRESQL, given)
    else:
        given = [
            {"of_consumer": consumer, "topic": topic, "partition": number, "from_": start, "to_": end}
            for (topic, number), (start, end) in order
        ]
        rows = await tx.rows(_ADVANCE_ON_SQLITE, given)
    if len(rows) != len(moves):
        return None
    return {Partition(topic, number): StoredOffset(next, start) for topic, number, next, start in rows}


async def begin_at(tx: Transaction, consumer: str, offsets: Mapping[Partition, int]) -> None:
    """First contact with these partitions; leaves alone what another replica has begun."""
    rows = [
        {
            "consumer": consumer,
            "topic": partition.topic,
            "partition": partition.number,
            "next_offset": offset,
            "start_offset": offset,
        }
        for partition, offset in sorted(offsets.items())
    ]
    await sets.put(tx, consumer_offsets, rows, on=("consumer", "topic", "partition"))


async def go_on_at(tx: Transaction, consumer: str, partition: Partition, offset: int) -> None:
    """Read on from `offset`, which is where the log begins by now."""
    columns = consumer_offsets.c
    await tx.execute(
        sa.update(consumer_offsets)
        .where(columns.consumer == consumer, columns.topic == partition.topic, columns.partition == partition.number)
        .values(next_offset=offset)
    )


async def restart_from(tx: Transaction, consumer: str, partition: Partition, offset: int) -> None:
    """A person decides where to go on, for instance after records were lost to retention; raises NoSuchPartition.

    Going back is always safe: what was applied is dropped. Going forward leaves gaps, which park their keys.
    """
    columns = consumer_offsets.c
    result = await tx.execute(
        sa.update(consumer_offsets)
        .where(columns.consumer == consumer, columns.topic == partition.topic, columns.partition == partition.number)
        .values(
            next_offset=offset, start_offset=sa.case((columns.next_offset < offset, offset), else_=columns.start_offset)
        )
    )
    if result.rowcount != 1:
        raise NoSuchPartition()


def position_in(record: Delivered) -> Position | None:
    """Broken bytes may still have a readable number, and then keep their place in the key."""
    headers = dict(record.headers)
    with suppress(KeyError, ValueError):
        position = Position(int(headers["ce_aggepoch"]), int(headers["ce_aggseq"]))
        if all(0 < number < 2**63 for number in position):
            return position
    return None


def by_topic(streams: Collection[Stream]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for topic, key in sorted(set(streams)):
        grouped.setdefault(topic, []).append(key)
    return grouped


_ADVANCE_ON_POSTGRESQL = Fixed(
    sa.text(
        "UPDATE consumer_offsets AS stored SET next_offset = move.to_ FROM unnest(CAST(:topics AS TEXT[]), "
        "CAST(:partitions AS INTEGER[]), CAST(:froms AS BIGINT[]), CAST(:tos AS BIGINT[])) "
        "AS move(topic, partition, from_, to_) WHERE stored.consumer = :of_consumer AND stored.topic = move.topic "
        "AND stored.partition = move.partition AND stored.next_offset = move.from_ "
        "RETURNING stored.topic, stored.partition, stored.next_offset, stored.start_offset"
    )
)
_ADVANCE_ON_SQLITE = Fixed(
    sa.text(
        "UPDATE consumer_offsets SET next_offset = :to_ WHERE consumer = :of_consumer AND topic = :topic "
        "AND partition = :partition AND next_offset = :from_ RETURNING topic, partition, next_offset, start_offset"
    )
)
