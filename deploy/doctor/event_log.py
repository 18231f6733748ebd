"""The event log: an SQL database with its topics, or Kafka."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.exc import ArgumentError

from deploy.doctor import postgresql, sqlite_file
from deploy.doctor.finding import Finding, Patient, error, ok, warning
from deploy.doctor.postgresql import LISTENERS, PROCESSES_OF_A_SERVICE, NotLetIn
from deploy.doctor.reading import NO_ANSWER, reading
from deploy.opening import RECORDS_KEPT_FOR
from shared.events.registry import TOPICS
from shared.kit.bus.log import Bounds, Delivered, Partition
from shared.kit.bus.sql_log import SqlLog
from shared.kit.bus.tables import log_partitions, log_records, log_topics
from shared.kit.db import Reader

PART = "event log"
VARIABLE = "MAINSTAY_EVENT_LOG_URL"
FORGOTTEN_LATE = timedelta(days=2)


async def look(patient: Patient) -> list[Finding]:
    if patient.common.event_log == "kafka":
        from deploy.doctor import kafka

        return await kafka.look(patient)
    url = url_of(patient)
    if url is None:
        # In production that is said about the settings.
        if patient.in_production:
            return []
        return [error(PART, f"{VARIABLE} is not a database URL", "postgresql://user:password@host/name")]
    if url.get_backend_name() == "sqlite":
        findings = await asyncio.to_thread(_in_file, patient, Path(url.database or ""))
    else:
        findings = await _on_server(patient, url)
    return findings or await _topics(patient, url)


async def bounds(patient: Patient, partitions: Collection[Partition]) -> Mapping[Partition, Bounds]:
    """What the log still holds of those that it has; none when it does not answer in time."""
    if patient.common.event_log == "kafka":
        from deploy.doctor import kafka

        return await kafka.bounds(patient, partitions)
    async with reading(url_of(patient)) as reader:
        rows = [] if reader is None else await reader.rows(sa.select(log_partitions))
    found = {Partition(row.topic, row.partition): Bounds(row.oldest_offset, row.next_offset) for row in rows}
    return {partition: found[partition] for partition in partitions if partition in found}


async def newest(patient: Patient, topics: Collection[str], *, of_each: int) -> Sequence[Delivered]:
    """The last records of each partition of these topics; none when the log does not answer in time."""
    if patient.common.event_log == "kafka":
        from deploy.doctor import kafka

        return await kafka.newest(patient, topics, of_each=of_each)
    found: list[Delivered] = []
    async with reading(url_of(patient)) as reader:
        if reader is not None:
            log = SqlLog(reader.database)
            for row in await reader.rows(sa.select(log_partitions).where(log_partitions.c.topic.in_(sorted(topics)))):
                begin = max(row.next_offset - of_each, row.oldest_offset)
                found += await log.read(Partition(row.topic, row.partition), begin, of_each)
    return found


def missing(patient: Patient, topics: Iterable[str]) -> Finding:
    names = sorted(topics)
    found = f"{len(names)} topic(s) are missing, such as {names[0]}"
    return patient.waits(PART, found, "mainstay topics ensure")


def url_of(patient: Patient) -> URL | None:
    try:
        return make_url(patient.common.sql_log_url)
    except (ArgumentError, ValueError):
        return None


def _in_file(patient: Patient, path: Path) -> list[Finding]:
    def judge(connection: sqlite3.Connection) -> list[Finding]:
        return [] if sqlite_file.has_table(connection, log_topics.name) else [missing(patient, TOPICS)]

    return sqlite_file.look(patient, PART, path, judge)


async def _on_server(patient: Patient, url: URL) -> list[Finding]:
    try:
        server = await postgresql.ask(PART, VARIABLE, url)
    except NotLetIn as refused:
        return [refused.finding]
    needed = len(patient.services) * PROCESSES_OF_A_SERVICE * (patient.common.pool_size + LISTENERS)
    findings = [*postgresql.judge(patient, PART, url, server, needed=needed)]
    return findings if findings or server.has_log else [missing(patient, TOPICS)]


async def _topics(patient: Patient, url: URL) -> list[Finding]:
    try:
        async with reading(url) as reader:
            assert reader is not None
            there = {row.topic for row in await reader.rows(sa.select(log_topics.c.topic))}
            if lacking := set(TOPICS) - there:
                return [missing(patient, lacking)]
            findings = await _retention(reader)
    except NO_ANSWER as trouble:
        return [error(PART, f"its tables cannot be read ({type(trouble).__name__})", "mainstay topics ensure")]
    return findings or [ok(PART, f"{url.get_backend_name()}, {len(there)} topics")]


async def _retention(reader: Reader) -> list[Finding]:
    """Old records are dropped by every worker; the log grows where none runs."""
    records, partitions = log_records.c, log_partitions.c
    first = sa.and_(
        records.topic == partitions.topic,
        records.partition == partitions.partition,
        records.offset == partitions.oldest_offset,
    )
    held = sa.select(sa.func.min(records.appended_at)).select_from(log_partitions.join(log_records, first))
    oldest = await reader.scalar(held)
    if oldest is None or oldest > datetime.now(UTC) - RECORDS_KEPT_FOR - FORGOTTEN_LATE:
        return []
    found = f"still holds a record of {oldest:%Y-%m-%d}, and keeps them for {RECORDS_KEPT_FOR.days} days"
    return [warning(PART, found, "look whether any worker runs: each drops what is old")]
