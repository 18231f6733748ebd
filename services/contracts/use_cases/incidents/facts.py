"""The facts that an incident is judged by: what a technician found, and what is on record without anybody's word."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from services.contracts.db import condition_declarations, disclosures, evidence_facts, incidents, work_requests
from services.contracts.domain.contract import Contract
from services.contracts.domain.incident import Incident
from services.contracts.domain.service_then import ServiceThen, service_then
from services.contracts.domain.work_request import NoSuchWorkRequest, WorkRequest
from shared.events.backup import BackupCompleted
from shared.kit.db import Reader


async def facts_of(reader: Reader, contract: Contract, incident: Incident) -> dict[str, Any]:
    """JSON-ready and without anybody's own words; `contract` has caught up with the present."""
    found = incident.determination
    service = await service_at(reader, contract, incident.happened_at)
    return {
        "agreement_version": incident.agreement_version,
        "contract_id": str(incident.contract_id),
        "period_index": incident.period_index,
        "server_id": str(incident.server_id),
        "happened_at": incident.happened_at.isoformat(),
        "reported_at": incident.reported_at.isoformat(),
        "cause": found.cause and found.cause.value,
        "data_lost": found.data_lost,
        "findings": [finding.shown() for finding in found.findings],
        "service": service.shown() if service else None,
        "work": await _work(reader, incident),
        "conditions": await _conditions(reader, incident),
        "disclosure": await _disclosure(reader, incident),
        "last_verified_backup": await _last_verified_backup(reader, incident),
        "recovery": {
            "attempts": len(incident.attempts),
            "methods": sorted({attempt.method for attempt in incident.attempts}),
            "recovered": incident.recovered,
        },
    }


async def service_at(reader: Reader, contract: Contract, at: datetime) -> ServiceThen | None:
    """Whether the contract was served then; None before its service began."""
    before, after = await incidents.paid_periods_around(reader, contract, at)
    return service_then(contract, before=before, after=after, at=at)


async def named_work(reader: Reader, incident_contract_id: UUID, server_id: UUID, work_request_id: UUID) -> WorkRequest:
    """Work on that server of that contract; raises NoSuchWorkRequest for any other."""
    work = await work_requests.get(reader, work_request_id, only_customer=None)
    if (work.contract_id, work.server_id) != (incident_contract_id, server_id):
        raise NoSuchWorkRequest(field="work_request_id")
    return work


async def _work(reader: Reader, incident: Incident) -> dict[str, Any] | None:
    named = incident.determination.work_request_id
    if named is None:
        return None
    work = await work_requests.get(reader, named, only_customer=None)
    began_at, ended_at = work.started_at, work.ended_at
    during = began_at is not None and began_at <= incident.happened_at
    return {
        "work_request_id": str(work.id),
        "operation_code": work.operation_code,
        "began_at": began_at and began_at.isoformat(),
        "ended_at": ended_at and ended_at.isoformat(),
        "in_progress": during and (ended_at is None or incident.happened_at <= ended_at),
    }


async def _conditions(reader: Reader, incident: Incident) -> dict[str, Any] | None:
    declared = await condition_declarations.standing_at(
        reader, incident.contract_id, incident.server_id, incident.happened_at
    )
    if declared is None:
        return None
    return {
        "declaration_id": str(declared.id),
        "declared_at": declared.declared_at.isoformat(),
        "unmet": [condition.value for condition in declared.unmet],
    }


async def _disclosure(reader: Reader, incident: Incident) -> dict[str, Any] | None:
    """By the customer, before it happened, and of what still opened the server then."""
    reported = await disclosures.by_the_customer(reader, incident.contract_id, incident.server_id, incident.happened_at)
    if reported is None:
        return None
    return {
        "disclosure_id": str(reported.id),
        "kind": reported.kind.value,
        "source": reported.source.value,
        "disclosed_at": reported.disclosed_at.isoformat(),
        "reported_at": reported.reported_at.isoformat(),
    }


async def _last_verified_backup(reader: Reader, incident: Incident) -> dict[str, Any] | None:
    """A run is told as completed only after its snapshot was found again and a sample read back."""
    told = await evidence_facts.newest_by(
        reader, incident.contract_id, incident.server_id, BackupCompleted.kind, incident.happened_at
    )
    if told is None:
        return None
    return {"run_id": told.facts["run_id"], "completed_at": told.facts["completed_at"]}
