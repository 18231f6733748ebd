"""What is on record of a contract, as it leaves in an evidence bundle: JSON-ready, without anybody's own words."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import (
    acceptances,
    accepted_texts,
    condition_declarations,
    periods,
    work_requests,
)
from shared.kit.bus import sets
from shared.kit.db import Reader
from shared.kit.tables import decisions

# The address that a text was accepted from, notes and reasons are people's own and stay.
_OF_ACCEPTANCES = (
    "id",
    "period_index",
    "agreement_version",
    "language",
    "text_sha256",
    "accepted_by",
    "channel",
    "accepted_at",
)
_OF_WORK = (
    "id",
    "server_id",
    "operation_code",
    "risk",
    "agreement_version",
    "requested_at",
    "origin",
    "warranty_of",
    "status",
    "assessed_risk",
    "decided_at",
    "decided_by",
    "technician",
    "starts_at",
    "ends_at",
    "place",
    "scheduled_at",
    "started_at",
    "steps",
    "ended_at",
    "signed_off_at",
)
_OF_PERIODS = (
    "period_index",
    "status",
    "starts_at",
    "ends_at",
    "window_opens_at",
    "zone",
    "agreement_version",
    "acceptance_id",
    "plan_code",
    "plan_version",
    "fee_minor",
    "currency",
    "payment_id",
    "choice",
    "chosen_at",
)


async def acceptances_of(reader: Reader, contract_id: UUID) -> list[dict[str, Any]]:
    """Oldest first."""
    columns = [acceptances.c[name] for name in _OF_ACCEPTANCES]
    query = sa.select(*columns).where(acceptances.c.contract_id == contract_id).order_by(acceptances.c.id)
    return [_shown(row) for row in await reader.rows(query)]


async def accepted_text(reader: Reader, version: str, language: str) -> str:
    """The very text, as it was kept with its first acceptance."""
    columns = accepted_texts.c
    query = sa.select(columns.text).where(columns.agreement_version == version, columns.language == language)
    text: str = await reader.scalar(query)
    return text


async def periods_of(reader: Reader, contract_id: UUID) -> list[dict[str, Any]]:
    columns = [periods.c[name] for name in _OF_PERIODS]
    query = sa.select(*columns).where(periods.c.contract_id == contract_id).order_by(periods.c.period_index)
    return [_shown(row) for row in await reader.rows(query)]


async def work_of(
    reader: Reader, contract_id: UUID, *, server_id: UUID | None, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` work requests in id order, of one server where it is named."""
    columns = [work_requests.c[name] for name in _OF_WORK]
    query = sa.select(*columns).where(work_requests.c.contract_id == contract_id)
    if server_id is not None:
        query = query.where(work_requests.c.server_id == server_id)
    if after is not None:
        query = query.where(work_requests.c.id > after)
    return [_shown(row) for row in await reader.rows(query.order_by(work_requests.c.id).limit(limit))]


async def declarations_of(
    reader: Reader, contract_id: UUID, *, server_id: UUID | None, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` declarations of unmet conditions in id order, of one server where it is named."""
    table = condition_declarations
    query = sa.select(table).where(table.c.contract_id == contract_id)
    if server_id is not None:
        query = query.where(table.c.server_id == server_id)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_shown(row) for row in await reader.rows(query.order_by(table.c.id).limit(limit))]


async def decisions_of(
    reader: Reader, subject_ids: Collection[UUID], *, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` decisions about any of these in id order, with their facts and parameters."""
    query = sa.select(decisions).where(sets.among(reader, decisions.c.subject_id, subject_ids))
    if after is not None:
        query = query.where(decisions.c.id > after)
    return [_shown(row) for row in await reader.rows(query.order_by(decisions.c.id).limit(limit))]


def _shown(row: sa.Row[Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row._mapping.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
