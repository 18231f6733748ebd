"""Rows of disclosures."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import disclosures as table
from services.contracts.domain.disclosure import (
    DisclosedBy,
    DisclosedKind,
    Disclosure,
    DisclosureStatus,
    NoSuchDisclosure,
    Source,
)
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

_OPEN = sa.text("status <> 'replaced'")


async def insert(tx: Transaction, disclosure: Disclosure) -> None:
    await tx.insert(table, vars(disclosure))


async def get(reader: Reader, disclosure_id: UUID, *, only_customer: UUID | None) -> Disclosure:
    """Raises NoSuchDisclosure, also for somebody else's."""
    query = sa.select(table).where(table.c.id == disclosure_id)
    if only_customer is not None:
        query = query.where(table.c.customer_id == only_customer)
    return _found(await reader.row(query))


async def get_for_update(tx: Transaction, disclosure_id: UUID) -> Disclosure:
    """Raises NoSuchDisclosure."""
    return _found(await tx.row(sa.select(table).where(table.c.id == disclosure_id).with_for_update()))


async def save(tx: Transaction, disclosure: Disclosure) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(table).where(table.c.id == disclosure.id, table.c.version == disclosure.version)
    disclosure.version += 1
    if (await tx.execute(guarded.values(**vars(disclosure)))).rowcount != 1:
        raise StaleWrite()


async def page(reader: Reader, contract_id: UUID, *, after: UUID | None, limit: int) -> list[Disclosure]:
    """Up to `limit` + 1 disclosures of a contract in id order."""
    query = sa.select(table).where(table.c.contract_id == contract_id).order_by(table.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_disclosure(row) for row in await reader.rows(query)]


async def contracts_waiting_for(reader: Reader, secret_id: UUID) -> set[UUID]:
    """Contracts with an open disclosure of this secret."""
    rows = await reader.rows(sa.select(table.c.contract_id).where(table.c.secret_id == secret_id, _OPEN))
    return {row.contract_id for row in rows}


async def open_of_secret_for_update(tx: Transaction, secret_id: UUID) -> list[Disclosure]:
    query = sa.select(table).where(table.c.secret_id == secret_id, _OPEN).order_by(table.c.id).with_for_update()
    return [_disclosure(row) for row in await tx.rows(query)]


async def first_open(reader: Reader, contract_id: UUID) -> datetime | None:
    """When the oldest open disclosure of the contract was reported."""
    query = sa.select(sa.func.min(table.c.reported_at, type_=table.c.reported_at.type))
    found: datetime | None = await reader.scalar(query.where(table.c.contract_id == contract_id, _OPEN))
    return found


async def by_the_customer(reader: Reader, contract_id: UUID, server_id: UUID, at: datetime) -> Disclosure | None:
    """The newest disclosure by the customer that had happened by then and had not been answered by a replacement."""
    not_replaced = sa.or_(table.c.replaced_at.is_(None), table.c.replaced_at > at)
    row = await reader.row(
        sa.select(table)
        .where(
            table.c.server_id == server_id,
            table.c.contract_id == contract_id,
            table.c.disclosed_by == DisclosedBy.CUSTOMER,
            table.c.disclosed_at <= at,
            not_replaced,
        )
        .order_by(table.c.disclosed_at.desc())
        .limit(1)
    )
    return None if row is None else _disclosure(row)


async def first_overdue(reader: Reader) -> datetime | None:
    """By when the one that is overdue longest was to be replaced."""
    query = sa.select(sa.func.min(table.c.replace_by, type_=table.c.replace_by.type))
    found: datetime | None = await reader.scalar(query.where(sa.text("status = 'overdue'")))
    return found


def _found(row: sa.Row[Any] | None) -> Disclosure:
    if row is None:
        raise NoSuchDisclosure()
    return _disclosure(row)


def _disclosure(row: sa.Row[Any]) -> Disclosure:
    return Disclosure(
        **{
            **row._mapping,
            "kind": DisclosedKind(row.kind),
            "disclosed_by": DisclosedBy(row.disclosed_by),
            "source": Source(row.source),
            "status": DisclosureStatus(row.status),
        }
    )
