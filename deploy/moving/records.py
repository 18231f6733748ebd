"""The log's part of a backup: records of what the snapshots know, marked where somebody has yet to read them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import sqlalchemy as sa

from deploy.moving.cut import Snapshot
from deploy.moving.lines import line_of, read_lines, writing_lines
from deploy.moving.manifest import PackedFile
from deploy.progress import Progress
from deploy.services import memory_of, topics_of
from shared.events.registry import FACTS, TOPICS
from shared.kernel.ids import new_id
from shared.kit.bus.log import Delivered, EventLog, Partition, Record, headers_from_json, headers_to_json
from shared.kit.bus.positions import Position, Stream, position_in
from shared.kit.bus.restoring import IsForgotten, all_on, told_of
from shared.kit.bus.sql_log import SqlLog
from shared.kit.bus.tables import consumer_offsets

LOG = "log/records.jsonl.gz"
BATCH = 500
READERS = "moving."
"""What the names begin with by which the log is read for a backup."""

Scope = Literal["whole", "unread"]
"""`unread`: only what some consumer has not read."""

PRODUCERS = {fact.topic(): fact.producer for fact in FACTS}


class PackedRecord(NamedTuple):
    topic: str
    key: str
    headers: Sequence[Sequence[str]]
    value: str
    unread: bool

    def record(self) -> Record:
        return Record(self.topic, self.key, headers_from_json(self.headers), base64.b64decode(self.value))


Offsets = list[tuple[str, int, int, int]]
"""A consumer's, as (topic, partition, next offset, where it began)."""


async def offsets_in(snapshot: Snapshot) -> Offsets:
    columns = consumer_offsets.c
    rows = await snapshot.reader.rows(
        sa.select(columns.topic, columns.partition, columns.next_offset, columns.start_offset)
        .where(columns.consumer == snapshot.service)
        .order_by(columns.topic, columns.partition)
    )
    return [(row.topic, row.partition, row.next_offset, row.start_offset) for row in rows]


async def pack_records(
    log: EventLog,
    snapshots: Mapping[str, Snapshot],
    offsets: Mapping[str, Offsets],
    folder: Path,
    *,
    scope: Scope,
    progress: Progress,
) -> tuple[PackedFile, list[str]]:
    """The records and their topics: what the log holds and the snapshots know, by partition; raises LogAway.

    Of a record without a number nobody could tell that it was read before, so it is taken only while it is unread.
    """
    partners = await _partner_topics(log, snapshots)
    unread_from = _unread_from(offsets)
    topics = [*TOPICS, *(partners if scope == "whole" else ())]
    begin = {} if scope == "whole" else unread_from
    with writing_lines(folder / LOG) as lines:
        async for records in _everything(log, topics, begin):
            for record in await _known(records, snapshots, partners):
                unread = record.topic in PRODUCERS and record.offset >= unread_from.get(_place(record), 0)
                if unread or (scope == "whole" and (record.topic in partners or position_in(record))):
                    lines.write(_line(record, unread=unread))
            progress.at(lines.count)
    return PackedFile(path=LOG, lines=lines.count, sha256=lines.sha256), sorted(topics)


def packed_records(folder: Path, *, scope: Scope) -> Iterator[PackedRecord]:
    """In the order in which they are to be appended."""
    for line in read_lines(folder / LOG):
        packed = PackedRecord(*json.loads(line))
        if packed.unread or scope == "whole":
            yield packed


async def append_records(log: EventLog, folder: Path, *, scope: Scope, of: int, progress: Progress) -> int:
    """To the end of the log, which may be another one; returns how many; raises LogAway."""
    batch: list[Record] = []
    count = 0
    for packed in packed_records(folder, scope=scope):
        batch.append(packed.record())
        count += 1
        if len(batch) == BATCH:
            await log.append(batch)
            batch = []
            progress.at(count, of)
    await log.append(batch)
    return count


def _line(record: Delivered, *, unread: bool) -> bytes:
    value = base64.b64encode(record.value).decode()
    return line_of([record.topic, record.key, headers_to_json(record.headers), value, unread]).encode()


async def _everything(
    log: EventLog, topics: Collection[str], begin: Mapping[Partition, int]
) -> AsyncIterator[Sequence[Delivered]]:
    if not isinstance(log, SqlLog):
        async for records in all_on(log, f"{READERS}{new_id()}", topics, begin_at=begin):
            yield records
        return
    # Without a subscription, whose leases would stay behind as rows.
    for partition, (oldest, end) in sorted((await log.bounds(topics)).items()):
        at = max(oldest, begin.get(partition, 0))
        while at < end and (records := await log.read(partition, at, BATCH)):
            yield records
            at = records[-1].offset + 1


async def _known(
    records: Sequence[Delivered], snapshots: Mapping[str, Snapshot], partners: Mapping[str, IsForgotten]
) -> list[Delivered]:
    """Without what was told after the point: in the restored installation it has not happened."""
    told: dict[Stream, Position] = {}
    for service, snapshot in snapshots.items():
        streams = {Stream(each.topic, each.key) for each in records if PRODUCERS.get(each.topic) == service}
        told |= await told_of(snapshot.reader, streams)
    return [record for record in records if not _is_later(record, told, partners)]


def _is_later(record: Delivered, told: Mapping[Stream, Position], partners: Mapping[str, IsForgotten]) -> bool:
    if record.topic in partners:
        return partners[record.topic](record)
    position = position_in(record)
    return position is not None and position > told.get(Stream(record.topic, record.key), Position(0, 0))


async def _partner_topics(log: EventLog, snapshots: Mapping[str, Snapshot]) -> dict[str, IsForgotten]:
    """Topics outside the published language, and which of their records are later than the snapshots.

    One that has not been made yet holds nothing, and whoever backs up makes none.
    """
    there = await log.topics()
    found: dict[str, IsForgotten] = {}
    for service, snapshot in snapshots.items():
        found |= await memory_of(service).topics(snapshot.reader)
    return {topic: is_forgotten for topic, is_forgotten in found.items() if topic in there}


def _unread_from(offsets: Mapping[str, Offsets]) -> dict[Partition, int]:
    """The lowest offset of each partition that some consumer has not read; 0 where one has not begun."""
    reached = {
        service: {Partition(topic, number): max(next_, 0) for topic, number, next_, _start in of_service}
        for service, of_service in offsets.items()
    }
    return {
        place: min(of_service.get(place, 0) for name, of_service in reached.items() if place.topic in topics_of(name))
        for of_any in reached.values()
        for place in of_any
    }


def _place(record: Delivered) -> Partition:
    return Partition(record.topic, record.partition)
