"""Rows of incidents and their recovery log."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import incidents, periods, recovery_attempts
from services.contracts.domain.contract import Contract, ContractStatus
from services.contracts.domain.incident import (
    AttemptOutcome,
    Determination,
    Finding,
    FindingKind,
    Incident,
    IncidentStatus,
    NoSuchIncident,
    RecoveryAttempt,
)
from services.contracts.domain.liability import Cause, Liability
from services.contracts.domain.period import PeriodStatus
from services.contracts.domain.service_then import PaidPeriod
from shared.kernel.errors import StaleWrite
from shared.kit.bus import sets
from shared.kit.db import Reader, Transaction

_OF_DETERMINATION = ("cause", "data_lost", "work_request_id", "findings")


async def insert(tx: Transaction, incident: Incident) -> None:
    await tx.insert(incidents, _values(incident))


async def get(reader: Reader, incident_id: UUID, *, only_customer: UUID | None) -> Incident:
    """Raises NoSuchIncident, also for somebody else's."""
    return await _found(reader, _one(incident_id, only_customer))


async def get_for_update(tx: Transaction, incident_id: UUID) -> Incident:
    """As `get` of anybody's, and nobody else changes it until the end of `tx`; its contract is locked before."""
    return await _found(tx, _one(incident_id, None).with_for_update())


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    status: IncidentStatus | None,
    after: UUID | None,
    limit: int,
) -> list[Incident]:
    """Up to `limit` + 1 incidents in id order."""
    query = sa.select(incidents).order_by(incidents.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(incidents.c.customer_id == only_customer)
    if contract_id is not None:
        query = query.where(incidents.c.contract_id == contract_id)
    if status is not None:
        query = query.where(incidents.c.status == status)
    if after is not None:
        query = query.where(incidents.c.id > after)
    return await _load(reader, query)


async def add_attempt(tx: Transaction, attempt: RecoveryAttempt) -> None:
    await tx.insert(recovery_attempts, vars(attempt))


async def save(tx: Transaction, incident: Incident) -> None:
    """All but its recovery log; raises StaleWrite."""
    guarded = sa.update(incidents).where(incidents.c.id == incident.id, incidents.c.version == incident.version)
    incident.version += 1
    if (await tx.execute(guarded.values(**_values(incident)))).rowcount != 1:
        raise StaleWrite()


async def paid_periods_around(
    reader: Reader, contract: Contract, at: datetime
) -> tuple[PaidPeriod | None, PaidPeriod | None]:
    """The paid period that began last by `at`, and the one that began first after it.

    Of a service that was refunded, later ones never begin.
    """
    paid = sa.select(periods).where(periods.c.contract_id == contract.id, periods.c.status == PeriodStatus.PAID)
    if contract.status is ContractStatus.REFUNDED:
        paid = paid.where(periods.c.period_index <= contract.current_index)
    column = periods.c.starts_at
    before = await reader.row(paid.where(column <= at).order_by(column.desc()).limit(1))
    after = await reader.row(paid.where(column > at).order_by(column).limit(1))
    return _paid_period(before), _paid_period(after)


def _paid_period(row: sa.Row[Any] | None) -> PaidPeriod | None:
    if row is None:
        return None
    return PaidPeriod(
        index=row.period_index, agreement_version=row.agreement_version, starts_at=row.starts_at, ends_at=row.ends_at
    )


def _one(incident_id: UUID, only_customer: UUID | None) -> sa.Select[Any]:
    query = sa.select(incidents).where(incidents.c.id == incident_id)
    return query if only_customer is None else query.where(incidents.c.customer_id == only_customer)


async def _found(reader: Reader, query: sa.Select[Any]) -> Incident:
    found = await _load(reader, query)
    if not found:
        raise NoSuchIncident()
    return found[0]


async def _load(reader: Reader, query: sa.Select[Any]) -> list[Incident]:
    found = {row.id: _incident(row) for row in await reader.rows(query)}
    if found:
        columns = recovery_attempts.c
        own = sets.among(reader, columns.incident_id, found)
        for row in await reader.rows(sa.select(recovery_attempts).where(own).order_by(columns.id)):
            attempt = RecoveryAttempt(**{**row._mapping, "outcome": AttemptOutcome(row.outcome)})
            found[row.incident_id].attempts.append(attempt)
    return list(found.values())


def _incident(row: sa.Row[Any]) -> Incident:
    values = dict(row._mapping)
    cause, data_lost, work_request_id, findings = (values.pop(name) for name in _OF_DETERMINATION)
    determination = Determination(
        cause=Cause(cause) if cause else None,
        data_lost=data_lost,
        work_request_id=work_request_id,
        findings=tuple(
            Finding(
                kind=FindingKind(each["kind"]),
                sha256=each["sha256"],
                found_at=datetime.fromisoformat(each["found_at"]),
            )
            for each in findings
        ),
    )
    values["status"] = IncidentStatus(row.status)
    values["liability"] = Liability(row.liability) if row.liability else None
    return Incident(**values, determination=determination)


def _values(incident: Incident) -> dict[str, Any]:
    values = {name: value for name, value in vars(incident).items() if name not in {"determination", "attempts"}}
    found = incident.determination
    return {
        **values,
        "cause": found.cause,
        "data_lost": found.data_lost,
        "work_request_id": found.work_request_id,
        "findings": [finding.shown() for finding in found.findings],
    }
