"""What there is to see of an installation once nothing is under way: every table, every record, every audit chain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy import services
from deploy.trails import verify_trail
from services.backup.gateways.restic import Repository
from shared.events.envelope import Envelope
from shared.events.registry import TOPICS
from shared.kit.bus.log import Partition, headers_from_json
from shared.kit.bus.tables import consumer_offsets, log_partitions, log_records, outbox, streams
from shared.kit.db import Database, Reader
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings
from shared.kit.signed_heads import Head, SignedHeads
from shared.kit.signing_keys import SigningKeys
from shared.kit.tables import audit_rows, timers
from shared.kit.tables import metadata as kit_metadata
from tests.infrastructure.waiting import eventually
from tests.system.installation import SERVICES, Installation

QUIET_SECONDS = 150.0
READ_SECONDS = 10.0

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Logged:
    """One record of an internal topic."""

    partition: Partition
    offset: int
    key: str
    envelope: Envelope

    @property
    def position(self) -> tuple[int, int]:
        return self.envelope.aggepoch, self.envelope.aggseq

    @property
    def kind(self) -> str:
        """`invoice-issued`"""
        return self.envelope.type.split(".")[2]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """`tables` by service and name, `log` by partition and offset, `ends` the offset after each partition's last."""

    tables: Mapping[str, Mapping[str, Sequence[Row]]]
    log: Sequence[Logged]
    ends: Mapping[Partition, int]
    broken_chains: Sequence[str]
    now: datetime
    snapshots: Sequence[str] = ()
    """Tags of all snapshots in all repositories, each as often as it is there."""

    def rows(self, service: str, table: str) -> Sequence[Row]:
        return self.tables.get(service, {}).get(table, ())


def metadata_of(service: str) -> list[sa.MetaData]:
    """The service's own tables and those of the kit."""
    return [import_module(f"services.{service}.db.tables").metadata, kit_metadata]


class Witness:
    """Reads an installation's databases and its log from outside."""

    def __init__(self, company: Installation, runtimes: Mapping[str, Runtime], log: Database | None) -> None:
        self._company = company
        self._runtimes = runtimes
        self._log = log

    async def until_quiet(self, *, timeout: float = QUIET_SECONDS) -> None:
        """Until outboxes are empty, consumers without lag, no timer is due and every audit row is sealed.

        Twice the same in a row: what is on its way from one service to another cannot slip between two looks.
        """
        before: list[Any] = []
        busy: list[str] = []

        async def nothing_moves() -> bool:
            nonlocal before, busy
            busy, seen = await self._look()
            settled, before = not busy and seen == before, seen
            return settled

        try:
            await eventually(nothing_moves, timeout=timeout, what="quiet")
        except TimeoutError as late:
            raise TimeoutError(f"{late}: {busy}\n{self._company.logs()}") from None

    async def evidence(self, *, timeout: float = QUIET_SECONDS) -> Evidence:
        """Read while nothing moved: a backup that was under way when its service ended has no timer to be seen by."""
        found: list[Evidence] = []

        async def read_in_quiet() -> bool:
            await self.until_quiet(timeout=timeout)
            before = await self._look()
            found.append(await self._read())
            return await self._look() == before

        await eventually(read_in_quiet, timeout=timeout, what="quiet while reading")
        return found[-1]

    async def _read(self) -> Evidence:
        tables = {name: await _tables(runtime) for name, runtime in self._runtimes.items()}
        broken = []
        for name, runtime in self._runtimes.items():
            _chains, _rows, breaks = await verify_trail(runtime)
            broken += [f"{name}: {one}" for one in breaks]
            broken += [f"{name}: {head} is not signed" for head in _unsigned(runtime, tables[name]["audit_heads"])]
        async with self._runtimes["contracts"].database.reading() as reader:
            now = reader.now
        return Evidence(
            tables=tables,
            log=await self._records(),
            ends=await self._ends(),
            broken_chains=broken,
            now=now,
            snapshots=await _snapshots(self._runtimes["backup"], tables["backup"]["protections"]),
        )

    async def _look(self) -> tuple[list[str], list[Any]]:
        """What is still under way, in words, and how far everything is."""
        ends = await self._ends()
        assert {partition.topic for partition in ends} == set(TOPICS), "every topic is on the log"
        busy: list[str] = []
        seen: list[Any] = [ends]
        for name, runtime in self._runtimes.items():
            async with runtime.database.reading() as reader:
                due = sa.and_(timers.c.parked_at.is_(None), timers.c.due_at <= reader.now)
                rows = await reader.rows(sa.select(consumer_offsets))
                offsets = {Partition(row.topic, row.partition): row.next_offset for row in rows}
                waiting = {
                    "outbox rows": await _count(reader, outbox),
                    "unsealed rows": await _count(reader, audit_rows, audit_rows.c.seq.is_(None)),
                    "due timers": await reader.rows(sa.select(timers.c.kind, timers.c.last_error).where(due)),
                    "unread": [
                        partition
                        for partition, end in ends.items()
                        if partition.topic in heard_by(name) and offsets.get(partition, 0) < end
                    ],
                }
                told = await reader.scalar(sa.select(sa.func.sum(streams.c.seq)))
            busy += [f"{name}: {what} {found}" for what, found in waiting.items() if found]
            seen.append((name, told, sorted(offsets.items())))
        return busy, seen

    async def _records(self) -> list[Logged]:
        if self._log is None:
            return await _kafka_records(self._company.kafka or "")
        columns = log_records.c
        async with self._log.reading() as reader:
            rows = await reader.rows(
                sa.select(log_records)
                .where(columns.topic.in_(TOPICS))
                .order_by(columns.topic, columns.partition, columns.offset)
            )
        return [
            Logged(
                Partition(row.topic, row.partition),
                row.offset,
                row.key,
                Envelope.from_binary(headers_from_json(row.headers), row.value),
            )
            for row in rows
        ]

    async def _ends(self) -> dict[Partition, int]:
        if self._log is None:
            bootstrap = self._company.kafka or ""
            async with _kafka_reader(bootstrap) as consumer:
                found = await consumer.end_offsets(await _partitions(bootstrap))
            return {Partition(each.topic, each.partition): end for each, end in found.items()}
        columns = log_partitions.c
        async with self._log.reading() as reader:
            rows = await reader.rows(
                sa.select(columns.topic, columns.partition, columns.next_offset).where(columns.topic.in_(TOPICS))
            )
        return {Partition(row.topic, row.partition): row.next_offset for row in rows}


def heard_by(service: str) -> Collection[str]:
    """The topics that the service's consumer reads."""
    topics: Collection[str] = import_module(f"services.{service}.consumers").handlers.topics
    return topics


@asynccontextmanager
async def witness_of(company: Installation) -> AsyncIterator[Witness]:
    async with AsyncExitStack() as stack:
        common = CommonSettings(data_dir=company.data_dir, clock="virtual", pool_size=2)
        runtimes = {}
        for name in SERVICES:
            kind = type(services.settings_of(name))
            settings = kind(database_url=company.databases[name])
            runtimes[name] = services.open_service(name, common, settings=settings)
            stack.push_async_callback(runtimes[name].close)
        log = Database(company.databases["log"], pool_size=2) if company.kafka is None else None
        if log is not None:
            stack.push_async_callback(log.close)
        yield Witness(company, runtimes, log)


def _unsigned(runtime: Runtime, heads: Sequence[Row]) -> list[Head]:
    path = runtime.data_dir / "audit" / f"{runtime.name}.heads.jsonl"
    signed = SignedHeads(path, runtime.name, SigningKeys(runtime.data_dir))
    return signed.lacking([Head(row["chain"], row["seq"], row["hash"]) for row in heads])


async def _snapshots(runtime: Runtime, protections: Sequence[Row]) -> list[str]:
    tags: list[str] = []
    for row in protections:
        async with runtime.gateways.restic._session(Repository(row["server_id"], row["id"])) as session:
            tags += [tag for snapshot in await session.snapshots() for tag in snapshot["tags"]]
    return tags


async def _count(reader: Reader, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    number: int = await reader.scalar(sa.select(sa.func.count()).select_from(table).where(*where))
    return number


async def _tables(runtime: Runtime) -> dict[str, list[Row]]:
    async with runtime.database.reading() as reader:
        return {
            table.name: [dict(row._mapping) for row in await reader.rows(sa.select(table))]
            for metadata in metadata_of(runtime.name)
            for table in metadata.sorted_tables
        }


@asynccontextmanager
async def _kafka_reader(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _partitions(bootstrap: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics(TOPICS)
    finally:
        await admin.close()
    found = [TopicPartition(topic["topic"], each["partition"]) for topic in described for each in topic["partitions"]]
    return sorted(found)


async def _kafka_records(bootstrap: str) -> list[Logged]:
    """Everything from the oldest record to the present end."""
    found: list[Logged] = []
    async with _kafka_reader(bootstrap) as consumer:
        partitions = await _partitions(bootstrap)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=int(READ_SECONDS * 1000))).values():
                found += [
                    Logged(
                        Partition(record.topic, record.partition),
                        record.offset,
                        record.key.decode(),
                        Envelope.from_binary(record.headers, record.value),
                    )
                    for record in records
                ]
    return sorted(found, key=lambda logged: (logged.partition, logged.offset))
