"""An incident is reported, looked into, and its recovery logged."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.contracts.db import agreements, contracts, incidents
from services.contracts.domain.contract import Contract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.incident import (
    AttemptOutcome,
    Determination,
    Incident,
    OutsideTheService,
    RecoveryAttempt,
)
from services.contracts.domain.work_request import ServerOutsideContract
from services.contracts.use_cases.happenings import settle
from services.contracts.use_cases.incidents.facts import named_work, service_at
from shared.events.contracts import IncidentReported
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.db import Transaction


async def report_incident(
    tx: Transaction,
    contract_id: UUID,
    *,
    only_customer: UUID | None,
    server_id: UUID,
    happened_at: datetime,
    seen: str,
    channel: str,
) -> Incident:
    """Raises NoSuchContract, OralRequest, NotRegistered, ServerOutsideContract, OutsideTheService."""
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreements.published().version(contract.agreement_version).check_channel(channel)
    await settle(tx, contract, contract.catch_up(tx.now))
    if contract.current is None:
        raise NotRegistered(agreement_version=contract.agreement_version, state=str(contract.status))
    if server_id not in contract.server_ids:
        raise ServerOutsideContract(field="server_id", agreement_version=contract.agreement_version)
    then = await service_at(tx, contract, happened_at) if happened_at <= tx.now else None
    if then is None:
        raise OutsideTheService(field="happened_at", agreement_version=contract.agreement_version)
    incident = Incident(
        id=new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        server_id=server_id,
        period_index=then.period_index,
        agreement_version=then.agreement_version,
        happened_at=happened_at,
        seen=seen,
        channel=channel,
        reported_at=tx.now,
        reported_by=tx.actor,
    )
    await incidents.insert(tx, incident)
    fact = IncidentReported(
        customer_id=incident.customer_id,
        incident_id=incident.id,
        contract_id=incident.contract_id,
        agreement_version=incident.agreement_version,
        period_index=incident.period_index,
        server_id=incident.server_id,
        happened_at=incident.happened_at,
        reported_at=incident.reported_at,
    )
    tx.publish(fact)
    audit_trail.record(
        tx, contract.customer_id, "report-incident", incident.id, contract_id=str(contract.id), channel=channel
    )
    return incident


async def determine_cause(tx: Transaction, incident_id: UUID, determination: Determination) -> Incident:
    """What a technician found, until it is decided.

    Raises NoSuchIncident, NoSuchWorkRequest, FoundInTheFuture, IllegalMove.
    """
    _, incident = await locked(tx, incident_id)
    await check_named_work(tx, incident, determination)
    incident.determine(determination, by=tx.actor, now=tx.now)
    await incidents.save(tx, incident)
    record_cause(tx, incident)
    return incident


async def record_attempt(
    tx: Transaction, incident_id: UUID, *, method: str, outcome: AttemptOutcome, attempted_at: datetime
) -> Incident:
    """Append to the recovery log (2.1); raises NoSuchIncident, OutsideTheIncident, IllegalMove."""
    _, incident = await locked(tx, incident_id)
    attempt = RecoveryAttempt(
        id=new_id(),
        incident_id=incident.id,
        method=method,
        outcome=outcome,
        attempted_at=attempted_at,
        recorded_at=tx.now,
        recorded_by=tx.actor,
    )
    incident.record(attempt, now=tx.now)
    await incidents.add_attempt(tx, attempt)
    await incidents.save(tx, incident)
    audit_trail.record(
        tx, incident.customer_id, "record-recovery-attempt", incident.id, method=method, outcome=outcome.value
    )
    return incident


async def locked(tx: Transaction, incident_id: UUID, *, only_customer: UUID | None = None) -> tuple[Contract, Incident]:
    """The incident and, locked before it, its contract, both up to date; raises NoSuchIncident."""
    seen = await incidents.get(tx, incident_id, only_customer=only_customer)
    contract = await contracts.get_for_update(tx, seen.contract_id, only_customer=None)
    await settle(tx, contract, contract.catch_up(tx.now))
    return contract, await incidents.get_for_update(tx, incident_id)


async def check_named_work(tx: Transaction, incident: Incident, determination: Determination) -> None:
    """Raises NoSuchWorkRequest for work on another server or contract."""
    if determination.work_request_id is not None:
        await named_work(tx, incident.contract_id, incident.server_id, determination.work_request_id)


def record_cause(tx: Transaction, incident: Incident) -> None:
    found = incident.determination
    audit_trail.record(
        tx,
        incident.customer_id,
        "determine-cause",
        incident.id,
        cause=found.cause and found.cause.value,
        findings=[finding.sha256 for finding in found.findings],
    )
