"""Notices and their attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.notify.db.tables import WITHOUT_PROOF, attempts, notices
from services.notify.domain.attempt import Attempt, Outcome
from services.notify.domain.contact import Language
from services.notify.domain.notice import WAITING, Background, NoSuchNotice, Notice, NoticeKind, NoticeStatus
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction

MOST_ATTEMPTS_SHOWN = 200


@dataclass(frozen=True)
class Unproven:
    """Notices without a mail server's word; the instant is when the oldest was asked for."""

    number: int
    oldest_created_at: datetime | None


async def add(tx: Transaction, notice: Notice) -> bool:
    """False when this event has asked for a notice of this kind before."""
    return await tx.insert_once(notices, _row(notice), on=["kind", "caused_by"])


async def update(tx: Transaction, notice: Notice) -> None:
    """Raises StaleWrite."""
    result = await tx.execute(
        sa.update(notices)
        .where(notices.c.id == notice.id, notices.c.version == notice.version)
        .values({**_row(notice), "version": notice.version + 1})
    )
    if result.rowcount != 1:
        raise StaleWrite()
    notice.version += 1


async def get(reader: Reader, notice_id: UUID, *, only_customer: UUID | None = None) -> Notice:
    """Raises NoSuchNotice."""
    return await _one(reader, sa.select(notices).where(notices.c.id == notice_id), only_customer)


async def get_for_update(tx: Transaction, notice_id: UUID) -> Notice:
    """Raises NoSuchNotice."""
    return await _one(tx, sa.select(notices).where(notices.c.id == notice_id).with_for_update(), None)


async def waiting_of(tx: Transaction, customer_id: UUID) -> list[Notice]:
    """What this customer has not been told for want of facts or a contact, oldest first."""
    rows = await tx.rows(
        sa.select(notices)
        .where(notices.c.customer_id == customer_id, notices.c.status.in_([status.value for status in WAITING]))
        .order_by(notices.c.id)
    )
    return [_notice(row) for row in rows]


async def without_proof(reader: Reader, status: NoticeStatus, *, since: datetime | None) -> Unproven:
    """Of those in this status; `since` leaves out what was asked for before."""
    created_at = notices.c.created_at
    query = sa.select(
        sa.func.count().label("number"), sa.type_coerce(sa.func.min(created_at), created_at.type).label("oldest")
    ).where(WITHOUT_PROOF, notices.c.status == status)
    row = await reader.row(query if since is None else query.where(created_at >= since))
    assert row is not None
    return Unproven(row.number, row.oldest)


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    subject_id: UUID | None = None,
    kind: NoticeKind | None = None,
    status: NoticeStatus | None = None,
    after: UUID | None,
    limit: int,
) -> list[Notice]:
    """Up to `limit` + 1 notices in the order they were asked for."""
    query = sa.select(notices).order_by(notices.c.id).limit(limit + 1)
    wanted = {"customer_id": only_customer, "subject_id": subject_id, "kind": kind, "status": status}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(notices.c[name] == value)
    if after is not None:
        query = query.where(notices.c.id > after)
    return [_notice(row) for row in await reader.rows(query)]


async def add_attempt(tx: Transaction, attempt: Attempt) -> None:
    await tx.insert(attempts, _attempt_row(attempt))


async def update_attempt(tx: Transaction, attempt: Attempt) -> None:
    await tx.execute(sa.update(attempts).where(attempts.c.id == attempt.id).values(_attempt_row(attempt)))


async def attempts_of(reader: Reader, notice_id: UUID) -> Sequence[Attempt]:
    """The latest attempts, oldest of them first."""
    rows = await reader.rows(
        sa.select(attempts)
        .where(attempts.c.notice_id == notice_id)
        .order_by(attempts.c.id.desc())
        .limit(MOST_ATTEMPTS_SHOWN)
    )
    return [_attempt(row) for row in reversed(rows)]


async def _one(reader: Reader, query: Any, only_customer: UUID | None) -> Notice:
    if only_customer is not None:
        query = query.where(notices.c.customer_id == only_customer)
    row = await reader.row(query)
    if row is None:
        raise NoSuchNotice()
    return _notice(row)


def _notice(row: Any) -> Notice:
    values = dict(row._mapping)
    background = Background(
        agreement_version=values.pop("agreement_version"),
        zone=values.pop("zone"),
        invoice_number=values.pop("invoice_number"),
    )
    kind, status = NoticeKind(values.pop("kind")), NoticeStatus(values.pop("status"))
    return Notice(**values, kind=kind, status=status, background=background)


def _row(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "kind": notice.kind.value,
        "caused_by": notice.caused_by,
        "customer_id": notice.customer_id,
        "contract_id": notice.contract_id,
        "subject_id": notice.subject_id,
        "invoice_id": notice.invoice_id,
        "period_index": notice.period_index,
        "facts": notice.facts,
        "agreement_version": notice.background.agreement_version,
        "zone": notice.background.zone,
        "invoice_number": notice.background.invoice_number,
        "status": notice.status.value,
        "failure": notice.failure,
        "tries": notice.tries,
        "created_at": notice.created_at,
        "settled_at": notice.settled_at,
        "version": notice.version,
    }


def _attempt(row: Any) -> Attempt:
    return Attempt(**{**row._mapping, "language": Language(row.language), "outcome": Outcome(row.outcome)})


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {**vars(attempt), "language": attempt.language.value, "outcome": attempt.outcome.value}
