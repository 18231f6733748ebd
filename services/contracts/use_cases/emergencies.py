"""An emergency goes to technical support directly, and is passed on until somebody acknowledges it (1.3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, contracts, emergencies
from services.contracts.domain.agreement import Parameters
from services.contracts.domain.contract import SERVED
from services.contracts.domain.emergency import (
    AlreadyAnEmergency,
    Emergency,
    EmergencyStatus,
    NotServed,
    Outcome,
    acknowledging,
    escalating,
    reporting,
)
from services.contracts.domain.work_request import ServerOutsideContract
from services.contracts.use_cases.happenings import settle
from services.contracts.use_cases.incidents.facts import named_work
from shared.events.contracts import (
    EmergencyAcknowledged,
    EmergencyEscalated,
    EmergencyReported,
    EmergencyResolved,
    EmergencyWithdrawn,
)
from shared.kernel.ids import new_id
from shared.kernel.judgement import Judgement
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction
from shared.kit.schedule import set_timer

ESCALATE = "emergency.escalate"


async def report_emergency(
    tx: Transaction, contract_id: UUID, *, only_customer: UUID | None, server_id: UUID, seen: str, channel: str
) -> Emergency:
    """Raises NoSuchContract, OralRequest, NotServed, ServerOutsideContract, AlreadyAnEmergency."""
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreement = agreements.published().version(contract.agreement_version)
    agreement.check_channel(channel)
    await settle(tx, contract, contract.catch_up(tx.now))
    if contract.status not in SERVED:
        raise NotServed(agreement_version=contract.agreement_version, state=str(contract.status))
    if server_id not in contract.server_ids:
        raise ServerOutsideContract(field="server_id", agreement_version=contract.agreement_version)
    known = await emergencies.under_way_of(tx, server_id)
    if known is not None:
        raise AlreadyAnEmergency(
            f"It was reported at {known.reported_at.isoformat()}.",
            agreement_version=known.agreement_version,
            emergency_id=str(known.id),
        )
    parameters = agreement.parameters
    emergency = Emergency(
        id=new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        server_id=server_id,
        period_index=contract.current_index,
        agreement_version=contract.agreement_version,
        seen=seen,
        channel=channel,
        reported_at=tx.now,
        reported_by=tx.actor,
        acknowledge_by=tx.now + timedelta(minutes=parameters.acknowledge_within_minutes),
    )
    await emergencies.insert(tx, emergency)
    await _wait(tx, emergency, parameters)
    facts = {"server_id": str(server_id), "served": True, "channel": channel, "at": tx.now.isoformat()}
    await _decide(tx, emergency, reporting, facts, happened="taken")
    tx.publish(EmergencyReported(**ids_of(emergency), reported_at=tx.now, acknowledge_by=emergency.acknowledge_by))
    audit_trail.record(
        tx, emergency.customer_id, "report-emergency", emergency.id, contract_id=str(contract.id), channel=channel
    )
    return emergency


async def escalate_emergency(tx: Transaction, emergency_id: UUID) -> None:
    """Nobody has acknowledged it for the agreement's minutes: it is passed on, and waits as long again."""
    seen = await emergencies.get(tx, emergency_id, only_customer=None)
    await contracts.get_for_update(tx, seen.contract_id, only_customer=None)
    emergency = await emergencies.get_for_update(tx, emergency_id)
    parameters = _parameters_of(emergency)
    if emergency.status is not EmergencyStatus.OPEN or tx.now < _next_at(emergency, parameters):
        return
    facts = {"passed_on_at": emergency.passed_on_at.isoformat(), "at": tx.now.isoformat()}
    emergency.escalate(tx.now)
    await emergencies.save(tx, emergency)
    await _wait(tx, emergency, parameters)
    await _decide(tx, emergency, escalating, facts | {"escalation": emergency.escalations}, happened="passed-on")
    tx.publish(
        EmergencyEscalated(
            **ids_of(emergency),
            escalation=emergency.escalations,
            reported_at=emergency.reported_at,
            acknowledge_by=emergency.acknowledge_by,
            escalated_at=tx.now,
        )
    )
    audit_trail.record(tx, emergency.customer_id, "escalate-emergency", emergency.id, escalation=emergency.escalations)


async def acknowledge_emergency(tx: Transaction, emergency_id: UUID) -> Emergency:
    """Whoever calls it takes it on, and nobody else is called any more. Raises NoSuchEmergency, IllegalMove."""
    emergency = await _locked(tx, emergency_id)
    emergency.acknowledge(by=tx.actor, now=tx.now)
    await emergencies.save(tx, emergency)
    facts = {"reported_at": emergency.reported_at.isoformat(), "at": tx.now.isoformat()}
    await _decide(tx, emergency, acknowledging, facts | {"escalations": emergency.escalations})
    in_time = tx.now <= emergency.acknowledge_by
    tx.publish(EmergencyAcknowledged(**ids_of(emergency), in_time=in_time, acknowledged_at=tx.now))
    audit_trail.record(tx, emergency.customer_id, "acknowledge-emergency", emergency.id)
    return emergency


async def resolve_emergency(
    tx: Transaction, emergency_id: UUID, *, outcome: Outcome, log: str, work_request_id: UUID | None
) -> Emergency:
    """Raises NoSuchEmergency, NoSuchWorkRequest for work on another server or contract, WorkNotNamed, IllegalMove."""
    emergency = await _locked(tx, emergency_id)
    if work_request_id is not None:
        await named_work(tx, emergency.contract_id, emergency.server_id, work_request_id)
    emergency.resolve(outcome, log, work_request_id, by=tx.actor, now=tx.now)
    await emergencies.save(tx, emergency)
    tx.publish(
        EmergencyResolved(
            **ids_of(emergency), outcome=outcome.value, work_request_id=work_request_id, resolved_at=tx.now
        )
    )
    audit_trail.record(tx, emergency.customer_id, "resolve-emergency", emergency.id, outcome=outcome.value)
    return emergency


async def withdraw_emergency(
    tx: Transaction, emergency_id: UUID, *, only_customer: UUID | None, channel: str
) -> Emergency:
    """The customer calls it off in writing. Raises NoSuchEmergency, OralRequest, IllegalMove."""
    seen = await emergencies.get(tx, emergency_id, only_customer=only_customer)
    agreements.published().version(seen.agreement_version).check_channel(channel)
    emergency = await _locked(tx, emergency_id)
    emergency.withdraw(by=tx.actor, now=tx.now)
    await emergencies.save(tx, emergency)
    tx.publish(EmergencyWithdrawn(**ids_of(emergency), withdrawn_at=tx.now))
    audit_trail.record(tx, emergency.customer_id, "withdraw-emergency", emergency.id, channel=channel)
    return emergency


def ids_of(emergency: Emergency) -> dict[str, Any]:
    """What every fact about an emergency says."""
    return {
        "customer_id": emergency.customer_id,
        "emergency_id": emergency.id,
        "contract_id": emergency.contract_id,
        "agreement_version": emergency.agreement_version,
        "period_index": emergency.period_index,
        "server_id": emergency.server_id,
    }


async def _locked(tx: Transaction, emergency_id: UUID) -> Emergency:
    """Behind its contract, as everybody locks them."""
    seen = await emergencies.get(tx, emergency_id, only_customer=None)
    await contracts.get_for_update(tx, seen.contract_id, only_customer=None)
    return await emergencies.get_for_update(tx, emergency_id)


async def _wait(tx: Transaction, emergency: Emergency, parameters: Parameters) -> None:
    await set_timer(tx, ESCALATE, emergency.id, _next_at(emergency, parameters))


def _next_at(emergency: Emergency, parameters: Parameters) -> datetime:
    return emergency.passed_on_at + timedelta(minutes=parameters.escalate_every_minutes)


def _parameters_of(emergency: Emergency) -> Parameters:
    return agreements.published().version(emergency.agreement_version).parameters


async def _decide(
    tx: Transaction, emergency: Emergency, judgement: Judgement, facts: dict[str, Any], happened: str | None = None
) -> None:
    await decisions.judge(
        tx,
        judgement,
        subject_id=emergency.id,
        customer_id=emergency.customer_id,
        agreement_version=emergency.agreement_version,
        parameters=_parameters_of(emergency).shown(),
        facts=facts,
        happened=happened,
    )
