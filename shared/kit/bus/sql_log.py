"""The event log in an SQL database: offsets are counted under a row lock, so commit order is offset order."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.events.registry import partitions_of
from shared.kernel.errors import Unavailable
from shared.kit.bus import sets
from shared.kit.bus.clock import real_now
from shared.kit.bus.doorbell import LOG, Doorbell, wait_for_any
from shared.kit.bus.leases import LEASE_SECONDS, Leases, Thing
from shared.kit.bus.log import (
    Batch,
    Bounds,
    Delivered,
    Lag,
    LoadOffsets,
    LogAway,
    Partition,
    Record,
    TopicState,
    headers_from_json,
    headers_to_json,
    stable_hash,
)
from shared.kit.bus.tables import log_leases, log_members, log_metadata, log_partitions, log_records, log_topics
from shared.kit.db import Database, LockedByAnother, Transaction
from shared.kit.statements import Fixed

IDLE_SECONDS = 1.0
FORGET_AT_ONCE = 10_000
_CREATE_LOCK = 0x4D534C47  # one creator of the tables at a time on PostgreSQL


class SqlLog:
    """An EventLog over one database, which it needs not share with any service. `close` leaves the database open."""

    def __init__(self, database: Database, partitions: int = 4, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.database = database
        self._default_partitions = partitions
        self._lease_seconds = lease_seconds
        self._partitions: dict[str, int] = {}
        self._doorbell = Doorbell(database, LOG)

    async def create(self) -> None:
        """Create the log's tables where they are missing."""

        def create_all(connection: sa.Connection) -> None:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATE_LOCK)))
            log_metadata.create_all(connection)

        await self.database.run_sync(create_all)

    async def append(self, records: Sequence[Record]) -> None:
        if not records:
            return
        try:
            counts = await self._counts_of({record.topic for record in records})
            async with self.database.transaction() as tx:
                await self._append(tx, records, counts)
        except (Unavailable, LockedByAnother) as error:
            raise LogAway() from error
        self._doorbell.ring()

    def subscribe(self, consumer: str, topics: Collection[str], load_offsets: LoadOffsets) -> SqlSubscription:
        return SqlSubscription(self, self._doorbell, consumer, topics, load_offsets, self._lease_seconds)

    async def ensure_topics(self, topics: Collection[str], partitions: int | None = None) -> None:
        wanted = {topic: partitions or partitions_of(topic, self._default_partitions) for topic in sorted(topics)}
        rows = [{"topic": topic, "partitions": count} for topic, count in wanted.items()]
        known = await self._known(topics)
        missing = [row for row in rows if row["topic"] not in known]
        if not missing:
            return
        async with self.database.transaction() as tx:
            await sets.put(tx, log_topics, missing, on=("topic",))
            counts = await self._read_counts(tx, topics)
            await sets.put(
                tx,
                log_partitions,
                [
                    {"topic": topic, "partition": number, "oldest_offset": 0, "next_offset": 0}
                    for topic, count in sorted(counts.items())
                    for number in range(count)
                ],
                on=("topic", "partition"),
            )
        self._partitions.update(counts)

    async def forget(self, before: datetime) -> int:
        """Drop records that the log took before this instant (real time, aware), at most 10,000 of each partition.

        Returns how many; call again until 0. A consumer that has not read them stops and says so.
        """
        records, partitions = log_records.c, log_partitions.c
        gone = 0
        async with self.database.reading() as reader:
            rows = await reader.rows(sa.select(log_partitions).order_by(partitions.topic, partitions.partition))
        for row in rows:
            end = min(row.oldest_offset + FORGET_AT_ONCE, row.next_offset)
            here = sa.and_(records.topic == row.topic, records.partition == row.partition, records.offset < end)
            async with self.database.transaction() as tx:
                kept = await tx.scalar(
                    sa.select(sa.func.min(records.offset)).where(here, records.appended_at >= before)
                )
                oldest = end if kept is None else kept
                await tx.execute(
                    sa.update(log_partitions)
                    .where(partitions.topic == row.topic, partitions.partition == row.partition)
                    .values(oldest_offset=oldest)
                )
                gone += (await tx.execute(sa.delete(log_records).where(here, records.offset < oldest))).rowcount
        return gone

    async def partitions_of(self, topics: Collection[str]) -> list[Partition]:
        counts = await self._counts_of(topics)
        return [Partition(topic, number) for topic in sorted(topics) for number in range(counts[topic])]

    async def topics(self) -> dict[str, TopicState]:
        async with self.database.reading() as reader:
            rows = await reader.rows(sa.select(log_topics.c.topic, log_topics.c.partitions))
        return {row.topic: TopicState(row.partitions) for row in rows}

    async def bounds(self, topics: Collection[str]) -> dict[Partition, Bounds]:
        found = await self._read_bounds(topics)
        if not {partition.topic for partition in found} >= set(topics):
            # Somebody dropped or restored the log under us.
            self._partitions.clear()
            await self.ensure_topics(topics)
            found = await self._read_bounds(topics)
        return found

    async def state(self) -> str:
        return "ok" if await self.database.state() == "ok" else LogAway.code()

    async def read(self, partition: Partition, offset: int, limit: int) -> list[Delivered]:
        place = {"of_topic": partition.topic, "of_partition": partition.number, "from_offset": offset, "at_most": limit}
        async with self.database.reading() as reader:
            rows = await reader.rows(_READ, place)
        return [
            Delivered(
                topic=partition.topic,
                key=row.key,
                headers=headers_from_json(row.headers),
                value=row.value,
                partition=partition.number,
                offset=row.offset,
                timestamp=row.appended_at,
            )
            for row in rows
        ]

    async def close(self) -> None:
        await self._doorbell.close()

    async def _append(self, tx: Transaction, records: Sequence[Record], counts: Mapping[str, int]) -> None:
        placed = [
            (Partition(record.topic, stable_hash(record.key) % counts[record.topic]), record) for record in records
        ]
        ends = await self._reserve(tx, Counter(partition for partition, _ in placed))
        now = await real_now(tx)
        rows = []
        for partition, record in placed:
            offset = ends[partition]
            ends[partition] += 1
            rows.append(
                {
                    "topic": record.topic,
                    "partition": partition.number,
                    "offset": offset,
                    "key": record.key,
                    "headers": headers_to_json(record.headers),
                    "value": record.value,
                    "appended_at": now,
                }
            )
        await sets.put(tx, log_records, rows)

    async def _reserve(self, tx: Transaction, wanted: Mapping[Partition, int]) -> dict[Partition, int]:
        """The first offset of each partition's records; the rows stay locked until the commit, in one order for all."""
        ends: dict[Partition, int] = {}
        columns = log_partitions.c
        insert: Any = postgresql.insert if tx.dialect == "postgresql" else sqlite.insert
        statement = insert(log_partitions)
        statement = statement.on_conflict_do_update(
            index_elements=["topic", "partition"],
            set_={"next_offset": columns.next_offset + statement.excluded.next_offset},
        ).returning(columns.topic, columns.partition, columns.next_offset)
        rows = await tx.rows(
            statement,
            [
                {"topic": topic, "partition": number, "oldest_offset": 0, "next_offset": count}
                for (topic, number), count in sorted(wanted.items())
            ],
        )
        for row in rows:
            partition = Partition(row.topic, row.partition)
            ends[partition] = row.next_offset - wanted[partition]
        return ends

    async def _counts_of(self, topics: Collection[str]) -> Mapping[str, int]:
        if not self._partitions.keys() >= set(topics):
            await self.ensure_topics(topics)
        return self._partitions

    async def _read_bounds(self, topics: Collection[str]) -> dict[Partition, Bounds]:
        async with self.database.reading() as reader:
            rows = await reader.rows(_BOUNDS[reader.dialect], {"topics": list(topics)})
        return {Partition(row.topic, row.partition): Bounds(row.oldest_offset, row.next_offset) for row in rows}

    async def _known(self, topics: Collection[str]) -> Mapping[str, int]:
        if not self._partitions.keys() >= set(topics):
            async with self.database.reading() as reader:
                self._partitions.update(await self._read_counts(reader, topics))
        return self._partitions

    async def _read_counts(self, reader: Any, topics: Collection[str]) -> dict[str, int]:
        rows = await reader.rows(
            sa.select(log_topics.c.topic, log_topics.c.partitions).where(sets.among(reader, log_topics.c.topic, topics))
        )
        return {row.topic: row.partitions for row in rows}


class SqlSubscription:
    """Partitions are shared among the consumer's replicas by leases; a lapsed lease is caught by the offsets' fence."""

    def __init__(
        self,
        log: SqlLog,
        doorbell: Doorbell,
        consumer: str,
        topics: Collection[str],
        load_offsets: LoadOffsets,
        lease_seconds: float,
    ) -> None:
        self._log = log
        self._doorbell = doorbell
        self._topics = sorted(topics)
        self._load_offsets = load_offsets
        self._leases = Leases(
            log.database,
            log_leases,
            log_members,
            key=["topic", "partition"],
            scope={"consumer": consumer},
            group=consumer,
            seconds=lease_seconds,
        )
        self._wake = self._leases.changed
        self._next: dict[Partition, int] = {}
        self._refused: set[Partition] = set()
        self._turn = 0
        self._keeper: asyncio.Task[None] | None = None
        self._hearing: Any = None

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, Batch]:
        await self._start()
        deadline = time.monotonic() + timeout
        while True:
            self._wake.clear()
            try:
                await self._settle()
                batches = await self._read(max_records)
            except LockedByAnother as error:
                raise LogAway() from error
            left = deadline - time.monotonic()
            if batches or left <= 0:
                return batches
            await wait_for_any(self._wake, timeout=min(left, IDLE_SECONDS))

    def rewind(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)
            self._refused.discard(partition)

    async def lag(self, applied: Mapping[Partition, int]) -> dict[Partition, Lag]:
        bounds = await self._log.bounds(self._topics)
        lags = {}
        for partition in applied.keys() & {Partition(*thing) for thing in self._leases.owned}:
            offset = applied[partition]
            waiting = max(bounds[partition].end - offset, 0)
            seconds = 0.0
            if waiting and (first := await self._log.read(partition, offset, 1)):
                now = await self._log.database.real_now()
                seconds = max((now - first[0].timestamp).total_seconds(), 0.0)
            lags[partition] = Lag(waiting, seconds)
        return lags

    async def close(self) -> None:
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self._keeper = None
        await self._hearing.__aexit__(None, None, None)
        await self._leases.release()

    async def _start(self) -> None:
        if self._keeper is None:
            self._hearing = self._doorbell.heard(self._wake)
            await self._hearing.__aenter__()
            self._keeper = asyncio.create_task(self._leases.keep(self._things))

    async def _settle(self) -> None:
        owned = {Partition(*thing) for thing in self._leases.owned}
        for partition in self._next.keys() - owned:
            del self._next[partition]
        self._refused &= owned
        new = owned - self._next.keys() - self._refused
        if new:
            offsets = await self._load_offsets(new, self._bounds)
            self._next.update(offsets)
            self._refused |= new - offsets.keys()

    async def _read(self, max_records: int) -> dict[Partition, Batch]:
        if not self._next:
            return {}
        bounds = await self._log.bounds(self._topics)
        batches: dict[Partition, Batch] = {}
        left = max_records
        for partition in self._fairly():
            start, (oldest, end) = self._next[partition], bounds[partition]
            if not oldest <= start <= end:
                # Records are gone, or the log was restored: the loader decides.
                self.rewind([partition])
                continue
            if left <= 0 or start == end:
                continue
            records = await self._log.read(partition, start, left)
            if records:
                self._next[partition] = records[-1].offset + 1
                batches[partition] = Batch(start, records, records[-1].offset + 1)
                left -= len(records)
        return batches

    def _fairly(self) -> list[Partition]:
        """Each poll begins with another partition, so that a long backlog does not starve the others."""
        order = sorted(self._next)
        self._turn += 1
        first = self._turn % len(order)
        return order[first:] + order[:first]

    async def _bounds(self) -> Mapping[Partition, Bounds]:
        return await self._log.bounds(self._topics)

    async def _things(self) -> Collection[Thing]:
        return [tuple(partition) for partition in await self._log.partitions_of(self._topics)]


def _bounds(dialect: str) -> Fixed:
    columns = log_partitions.c
    return Fixed(
        sa.select(columns.topic, columns.partition, columns.oldest_offset, columns.next_offset).where(
            sets.among_given(dialect, columns.topic, "topics")
        )
    )


_BOUNDS = {dialect: _bounds(dialect) for dialect in ("postgresql", "sqlite")}
_RECORDS = log_records.c
_READ = Fixed(
    sa.select(_RECORDS.offset, _RECORDS.key, _RECORDS.headers, _RECORDS.value, _RECORDS.appended_at)
    .where(
        _RECORDS.topic == sa.bindparam("of_topic"),
        _RECORDS.partition == sa.bindparam("of_partition"),
        _RECORDS.offset >= sa.bindparam("from_offset"),
    )
    .order_by(_RECORDS.offset)
    .limit(sa.bindparam("at_most"))
)
