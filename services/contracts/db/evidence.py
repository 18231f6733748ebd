"""What is on record of a contract, as it leaves in an evidence bundle: JSON-ready, without anybody's own words."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import (
    acceptances,
    accepted_texts,
    condition_declarations,
    contract_servers,
    disclosures,
    emergencies,
    extensions,
    periods,
    refund_requests,
    risk_acknowledgements,
    risk_assessments,
    secret_reveals,
    software_declarations,
    warranty_claims,
    work_requests,
)
from shared.kit.bus import sets
from shared.kit.db import Reader
from shared.kit.tables import decisions

RECORDS: dict[str, tuple[sa.Table, tuple[str, ...]]] = {
    "work.json": (
        work_requests,
        (
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
        ),
    ),
    "assessments.json": (
        risk_assessments,
        (
            "id",
            "work_request_id",
            "hazard",
            "backup_completed_at",
            "rehearsed_at",
            "risk",
            "assessed_by",
            "assessed_at",
        ),
    ),
    "acknowledgements.json": (
        risk_acknowledgements,
        (
            "id",
            "work_request_id",
            "assessment_id",
            "language",
            "text_sha256",
            "text",
            "acknowledged_by",
            "channel",
            "acknowledged_at",
        ),
    ),
    "conditions.json": (
        condition_declarations,
        (
            "id",
            "server_id",
            "agreement_version",
            "unmet",
            "status",
            "declared_at",
            "declared_by",
            "lifted_at",
            "lifted_by",
        ),
    ),
    "software.json": (
        software_declarations,
        (
            "id",
            "server_id",
            "declaration_index",
            "agreement_version",
            "source",
            "spec_version",
            "sha256",
            "component_count",
            "channel",
            "declared_by",
            "declared_at",
        ),
    ),
    "reveals.json": (
        secret_reveals,
        (
            "id",
            "secret_id",
            "number",
            "work_request_id",
            "revealed_to",
            "revealed_at",
        ),
    ),
    "disclosures.json": (
        disclosures,
        (
            "id",
            "server_id",
            "secret_id",
            "kind",
            "disclosed_by",
            "source",
            "agreement_version",
            "clause",
            "responsible",
            "disclosed_at",
            "channel",
            "reported_at",
            "reported_by",
            "replace_by",
            "status",
            "overdue_at",
            "replaced_at",
        ),
    ),
    "emergencies.json": (
        emergencies,
        (
            "id",
            "server_id",
            "period_index",
            "agreement_version",
            "channel",
            "reported_at",
            "reported_by",
            "acknowledge_by",
            "status",
            "escalations",
            "acknowledged_at",
            "acknowledged_by",
            "outcome",
            "work_request_id",
            "ended_at",
        ),
    ),
    "extensions.json": (
        extensions,
        (
            "id",
            "period_index",
            "agreement_version",
            "period_ends_at",
            "zone",
            "channel",
            "requested_by",
            "requested_at",
            "status",
            "decided_by",
            "decided_at",
            "until_on",
            "extended_until",
        ),
    ),
    "refunds.json": (
        refund_requests,
        (
            "id",
            "period_index",
            "agreement_version",
            "ground",
            "incident_id",
            "channel",
            "requested_by",
            "requested_at",
            "status",
            "taken_back_at",
            "answered_at",
            "decline_reason",
            "credit_note_number",
        ),
    ),
    "warranty.json": (
        warranty_claims,
        (
            "id",
            "period_index",
            "agreement_version",
            "claimed_work_request_id",
            "work_request_id",
            "channel",
            "claimed_by",
            "claimed_at",
        ),
    ),
}
"""By file: the table, and what of it leaves. Notes, reasons and addresses are people's own and stay."""

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
    "refund_id",
    "refunded_at",
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


async def records_of(
    reader: Reader, name: str, contract_id: UUID, *, server_id: UUID | None, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` rows of RECORDS in id order; with `server_id` those about other servers are left out."""
    table, columns = RECORDS[name]
    query = sa.select(*(table.c[column] for column in columns))
    owner = table
    if "contract_id" not in table.c:
        # What is about a piece of work, or about a server whatever the contract.
        if "server_id" in table.c:
            owner = contract_servers
            query = query.where(table.c.server_id == owner.c.server_id)
        else:
            owner = work_requests
            query = query.where(table.c.work_request_id == owner.c.id)
    query = query.where(owner.c.contract_id == contract_id)
    if server_id is not None and "server_id" in owner.c:
        query = query.where(owner.c.server_id == server_id)
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
    if isinstance(value, date):  # an instant is one too
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
