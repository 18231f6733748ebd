"""Protections: rows to domain objects and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Row

from services.backup.db.tables import ACTIVE as IS_ACTIVE
from services.backup.db.tables import protections
from services.backup.domain.coverage import Terms
from services.backup.domain.protection import (
    ALERT_AFTER,
    LOCAL,
    PURGED,
    NoSuchProtection,
    Place,
    Protection,
    ProtectionStatus,
)
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

columns = protections.c
_TERMS = (
    "agreement_version",
    "period_index",
    "period_ends_at",
    "every_hours",
    "restore_target_hours",
    "retention_days",
)
_STATE = (
    "next_slot_at",
    "last_slot_at",
    "uncovered_since",
    "missed_slots",
    "last_success_at",
    "last_success_slot_at",
    "last_success_run_id",
    "ended_at",
    "retain_until",
    "data_deleted_at",
)
_IDENTITY = ("id", "contract_id", "server_id", "customer_id", "started_at")
"""Besides the place, which is no plain text."""


@dataclass(frozen=True)
class Breaches:
    """Active protections whose backup is overdue; the instant is when the first of these backups was due."""

    number: int
    since: datetime | None


async def add(tx: Transaction, protection: Protection) -> None:
    identity = {name: getattr(protection, name) for name in (*_IDENTITY, "place")}
    await tx.insert(protections, {**identity, **_changing(protection), "version": protection.version})


async def save(tx: Transaction, protection: Protection) -> None:
    """Raises StaleWrite."""
    result = await tx.execute(
        sa.update(protections)
        .where(columns.id == protection.id, columns.version == protection.version)
        .values(**_changing(protection), version=protection.version + 1)
    )
    if result.rowcount != 1:
        raise StaleWrite()
    protection.version += 1


async def get(reader: Reader, protection_id: UUID, *, only_customer: UUID | None) -> Protection:
    """Raises NoSuchProtection, also for another customer's."""
    query = sa.select(protections).where(columns.id == protection_id)
    if only_customer is not None:
        query = query.where(columns.customer_id == only_customer)
    return _found(await reader.row(query))


async def get_for_update(tx: Transaction, protection_id: UUID) -> Protection:
    """Raises NoSuchProtection."""
    return _found(await tx.row(sa.select(protections).where(columns.id == protection_id).with_for_update()))


async def kept_of_contract(tx: Transaction, contract_id: UUID) -> list[Protection]:
    """Locked, in id order; without those whose data is deleted."""
    query = sa.select(protections).where(columns.contract_id == contract_id, columns.status != PURGED)
    return [_protection(row) for row in await tx.rows(query.order_by(columns.id).with_for_update())]


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    server_id: UUID | None,
    after: UUID | None,
    limit: int,
) -> list[Protection]:
    """In id order, up to `limit` + 1."""
    query = sa.select(protections).order_by(columns.id).limit(limit + 1)
    wanted = {"customer_id": only_customer, "contract_id": contract_id, "server_id": server_id}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(columns[name] == value)
    if after is not None:
        query = query.where(columns.id > after)
    return [_protection(row) for row in await reader.rows(query)]


async def kept(reader: Reader) -> list[tuple[UUID, UUID, Place]]:
    """(server_id, id, place) of all whose data has not been deleted."""
    query = sa.select(columns.server_id, columns.id, columns.place).where(columns.data_deleted_at.is_(None))
    return [(row.server_id, row.id, Place(row.place)) for row in await reader.rows(query)]


async def contract_serving(tx: Transaction, server_id: UUID) -> UUID | None:
    """Whose active local protection the server has."""
    query = sa.select(columns.contract_id).where(columns.server_id == server_id, columns.place == LOCAL, IS_ACTIVE)
    found: UUID | None = await tx.scalar(query)
    return found


async def breaches(reader: Reader) -> Breaches:
    """As `Protection.is_overdue` says, in two looks that an index answers each."""
    limit = reader.now - ALERT_AFTER
    never_taken = sa.and_(columns.uncovered_since.is_(None), columns.next_slot_at <= limit)
    found = [
        await _breached(reader, columns.uncovered_since, columns.uncovered_since <= limit),
        await _breached(reader, columns.next_slot_at, never_taken),
    ]
    return Breaches(
        number=sum(each.number for each in found),
        since=min((each.since for each in found if each.since is not None), default=None),
    )


async def _breached(reader: Reader, due_at: sa.Column[datetime], breached: sa.ColumnElement[bool]) -> Breaches:
    first = sa.type_coerce(sa.func.min(due_at), due_at.type).label("since")
    row = await reader.row(sa.select(sa.func.count().label("number"), first).where(IS_ACTIVE, breached))
    assert row is not None
    return Breaches(row.number, row.since)


def _changing(protection: Protection) -> dict[str, Any]:
    terms = {name: getattr(protection.terms, name) for name in _TERMS}
    return {"status": protection.status, **terms, **{name: getattr(protection, name) for name in _STATE}}


def _found(row: Row[Any] | None) -> Protection:
    if row is None:
        raise NoSuchProtection()
    return _protection(row)


def _protection(row: Row[Any]) -> Protection:
    values = row._mapping
    return Protection(
        **{name: values[name] for name in (*_IDENTITY, *_STATE)},
        terms=Terms(**{name: values[name] for name in _TERMS}),
        place=Place(row.place),
        status=ProtectionStatus(row.status),
        version=row.version,
    )
