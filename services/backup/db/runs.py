"""Runs: rows to domain objects and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Row

from services.backup.db.tables import protections, runs
from services.backup.domain.protection import PURGED
from services.backup.domain.run import OPEN, SUCCEEDED, NoSuchRun, Reason, Run, RunStatus, Sample
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

columns = runs.c
_IDENTITY = ("id", "protection_id", "server_id", "customer_id", "slot_at")
_STATE = ("attempts", "snapshot_id", "files", "bytes", "failed_at", "completed_at")


async def add_once(tx: Transaction, run: Run) -> bool:
    """False when the slot has its run already."""
    identity = {name: getattr(run, name) for name in _IDENTITY}
    return await tx.insert_once(
        runs, {**identity, **_changing(run), "version": run.version}, on=["protection_id", "slot_at"]
    )


async def save(tx: Transaction, run: Run) -> None:
    """Raises StaleWrite."""
    result = await tx.execute(
        sa.update(runs)
        .where(columns.id == run.id, columns.version == run.version)
        .values(**_changing(run), version=run.version + 1)
    )
    if result.rowcount != 1:
        raise StaleWrite()
    run.version += 1


async def get(reader: Reader, run_id: UUID, *, only_customer: UUID | None) -> Run:
    """Raises NoSuchRun, also for another customer's."""
    query = sa.select(runs).where(columns.id == run_id)
    if only_customer is not None:
        query = query.where(columns.customer_id == only_customer)
    return _found(await reader.row(query))


async def get_for_update(tx: Transaction, run_id: UUID) -> Run:
    """Raises NoSuchRun."""
    return _found(await tx.row(sa.select(runs).where(columns.id == run_id).with_for_update()))


async def open_of_protection(tx: Transaction, protection_id: UUID) -> list[Run]:
    """Those still to be done, locked."""
    query = sa.select(runs).where(columns.protection_id == protection_id, columns.status.in_(OPEN))
    return [_run(row) for row in await tx.rows(query.order_by(columns.id).with_for_update())]


async def waiting_for_files(reader: Reader, server_id: UUID) -> list[Run]:
    """Those of the server that found nothing to back up."""
    query = sa.select(runs).where(
        columns.server_id == server_id,
        columns.status == RunStatus.FAILED,
        columns.reason == Reason.NOTHING_TO_BACK_UP,
    )
    return [_run(row) for row in await reader.rows(query.order_by(columns.id))]


async def latest_restorable(reader: Reader, server_id: UUID) -> Run | None:
    """The newest completed run of the server whose data is still kept."""
    query = (
        sa.select(runs)
        .join(protections, protections.c.id == columns.protection_id)
        .where(columns.server_id == server_id, columns.status == SUCCEEDED, protections.c.status != PURGED)
        .order_by(columns.slot_at.desc(), columns.id.desc())
        .limit(1)
    )
    row = await reader.row(query)
    return None if row is None else _run(row)


async def page(reader: Reader, protection_id: UUID, *, after: UUID | None, limit: int) -> list[Run]:
    """Oldest first, up to `limit` + 1."""
    query = sa.select(runs).where(columns.protection_id == protection_id).order_by(columns.id).limit(limit + 1)
    if after is not None:
        query = query.where(columns.id > after)
    return [_run(row) for row in await reader.rows(query)]


def _changing(run: Run) -> dict[str, Any]:
    sample = run.sample
    return {
        "status": run.status,
        "reason": run.reason,
        "sample_path": sample.path if sample else None,
        "sample_sha256": sample.sha256 if sample else None,
        "expected_files": sample.expected_files if sample else None,
        **{name: getattr(run, name) for name in _STATE},
    }


def _found(row: Row[Any] | None) -> Run:
    if row is None:
        raise NoSuchRun()
    return _run(row)


def _run(row: Row[Any]) -> Run:
    values = row._mapping
    return Run(
        **{name: values[name] for name in (*_IDENTITY, *_STATE)},
        status=RunStatus(row.status),
        reason=Reason(row.reason) if row.reason else None,
        sample=Sample(row.sample_path, row.sample_sha256, row.expected_files) if row.sample_path else None,
        version=row.version,
    )
