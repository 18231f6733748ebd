"""Work that waits longer than it should: facts not published, events not read, timers not run, what is parked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from deploy.doctor import event_log
from deploy.doctor.databases import url_of
from deploy.doctor.finding import Finding, Patient, error, ok, warning
from deploy.doctor.reading import NO_ANSWER, reading
from deploy.services import topics_of
from shared.kit import virtual_clock
from shared.kit.bus import positions
from shared.kit.bus.clock import real_now
from shared.kit.bus.log import Bounds, Partition
from shared.kit.bus.positions import StoredOffset
from shared.kit.bus.tables import outbox, parked_events
from shared.kit.db import Reader
from shared.kit.tables import audit_heads, audit_rows, timers

LATE = timedelta(minutes=2)
FAR_BEHIND_RECORDS = 10_000


async def look(patient: Patient, service: str) -> list[Finding]:
    """Nothing where the database cannot be read or has no tables yet, which is said about the database."""
    part = f"work of {service}"
    try:
        async with reading(url_of(patient, service)) as reader:
            if reader is None:
                return []
            findings = [
                *await _unpublished(part, service, reader),
                *await _timers(part, service, reader, patient),
                *await _parked_timers(part, service, reader),
                *await _parked(part, service, reader),
                *await _heads(part, service, reader, patient),
            ]
    except NO_ANSWER:
        return []
    return findings or [ok(part, "nothing waits for longer than it should")]


async def look_at_reading(patient: Patient, service: str) -> list[Finding]:
    """How far the service has read the event log; nothing where the log does not answer."""
    part = f"reading of {service}"
    topics = topics_of(service)
    try:
        async with reading(url_of(patient, service)) as reader:
            stored = {} if reader is None else await positions.read_offsets(reader, service, topics)
        if not stored:
            return []
        bounds = await event_log.bounds(patient, stored)
    except NO_ANSWER:
        return []
    return [*_judged(part, service, *_distance(bounds, stored))] if bounds else []


def _distance(bounds: Mapping[Partition, Bounds], stored: Mapping[Partition, StoredOffset]) -> tuple[int, int]:
    """Records that wait, and records that the log dropped before they were read."""
    waiting = lost = 0
    for partition, bound in bounds.items():
        following = stored[partition].next
        waiting += max(bound.end - max(following, bound.oldest), 0)
        lost += max(bound.oldest - following, 0)
    return waiting, lost


def _judged(part: str, service: str, waiting: int, lost: int) -> Iterator[Finding]:
    listed = f"mainstay consumers list {service}"
    if lost:
        found = f"the log dropped {lost} record(s) before they were read"
        yield error(part, found, f"{listed}, then mainstay consumers restart {service} TOPIC PARTITION")
    if waiting > FAR_BEHIND_RECORDS:
        yield warning(part, f"{waiting:,} records wait to be read", f"run more of: mainstay worker {service}")
    if not lost and waiting <= FAR_BEHIND_RECORDS:
        yield ok(part, f"{waiting:,} record(s) wait")


async def _unpublished(part: str, service: str, reader: Reader) -> list[Finding]:
    oldest = await reader.scalar(sa.select(outbox.c.enqueued_at).order_by(outbox.c.id).limit(1))
    if oldest is None or oldest > await real_now(reader) - LATE:
        return []
    found = f"a fact has waited since {_shown(oldest)} to be published"
    return [warning(part, found, f"look whether the event log answers and this runs: mainstay worker {service}")]


async def _timers(part: str, service: str, reader: Reader, patient: Patient) -> list[Finding]:
    columns, findings = timers.c, []
    now = await virtual_clock.now_in(reader) if patient.common.clock == "virtual" else await real_now(reader)
    due = sa.select(sa.func.count().label("overdue"), sa.func.min(columns.due_at).label("first")).where(
        columns.parked_at.is_(None), columns.due_at < now - LATE
    )
    row = await reader.row(due)
    if row is not None and row.overdue:
        found = f"{row.overdue} timer(s) are overdue, the first since {_shown(row.first)}"
        findings.append(warning(part, found, f"look whether this runs: mainstay worker {service}"))
    return findings


async def _parked_timers(part: str, service: str, reader: Reader) -> list[Finding]:
    if count := await reader.scalar(sa.select(sa.func.count()).where(timers.c.parked_at.is_not(None))):
        return [warning(part, f"{count} timer(s) failed too often", f"mainstay timers parked {service}")]
    return []


async def _parked(part: str, service: str, reader: Reader) -> list[Finding]:
    heads = sa.select(sa.func.count()).where(parked_events.c.status.in_(("waiting", "held")))
    if count := await reader.scalar(heads):
        return [warning(part, f"{count} event(s) could not be applied", f"mainstay parked list {service}")]
    return []


async def _heads(part: str, service: str, reader: Reader, patient: Patient) -> list[Finding]:
    """The file of signed heads is written by workers, where their data folder is."""
    findings = []
    path = patient.data_dir / "audit" / f"{service}.heads.jsonl"
    if await reader.scalar(sa.select(audit_heads.c.seq).limit(1)) and not path.exists():
        found = f"audit chains are sealed, but there is no {path}"
        remedy = "set MAINSTAY_DATA_DIR to the folder that its workers use, or restore the file from your backup"
        findings.append(error("audit trail", found, remedy))
    unsealed = sa.select(sa.func.min(audit_rows.c.at)).where(audit_rows.c.seq.is_(None))
    oldest = await reader.scalar(unsealed)
    # The rows carry the service's time, which may be virtual.
    now = await virtual_clock.now_in(reader) if patient.common.clock == "virtual" else await real_now(reader)
    if oldest is not None and oldest < now - LATE:
        found = f"an audit row has waited since {_shown(oldest)} to be sealed"
        findings.append(warning(part, found, f"look whether this runs: mainstay worker {service}"))
    return findings


def _shown(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
