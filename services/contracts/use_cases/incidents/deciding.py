"""Who answers for an incident is decided by the facts on record, and once more by somebody else on appeal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.contracts.db import agreements, incidents
from services.contracts.domain.contract import Contract
from services.contracts.domain.incident import Determination, Incident
from services.contracts.domain.liability import Liability, deciding, deciding_appeal, judged
from services.contracts.use_cases.incidents.facts import facts_of
from services.contracts.use_cases.incidents.reporting import check_named_work, locked, record_cause
from shared.events.contracts import AppealDecided, IncidentDecided
from shared.kernel.judgement import Verdict
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


async def decide_incident(tx: Transaction, incident_id: UUID) -> Incident:
    """Raises NoSuchIncident, IllegalMove, CauseUndetermined, FactsMissing, RecoveryNotTried."""
    contract, incident = await locked(tx, incident_id)
    incident.check_decidable()
    facts = await facts_of(tx, contract, incident)
    verdict = await decisions.judge(tx, deciding, **_judged_by(incident), facts=facts)
    incident.decide(Liability(verdict.word), verdict.clause, by=tx.actor, now=tx.now)
    await incidents.save(tx, incident)
    tx.publish(IncidentDecided(**_told(incident), decided_at=tx.now))
    audit_trail.record(tx, incident.customer_id, "decide-incident", incident.id, liability=verdict.word)
    return incident


async def appeal(
    tx: Transaction, incident_id: UUID, *, only_customer: UUID | None, reason: str, channel: str
) -> Incident:
    """The customer's one appeal; raises NoSuchIncident, OralRequest, AlreadyAppealed, IllegalMove."""
    _, incident = await locked(tx, incident_id, only_customer=only_customer)
    agreements.published().version(incident.agreement_version).check_channel(channel)
    incident.appeal(reason, by=tx.actor, now=tx.now)
    await incidents.save(tx, incident)
    audit_trail.record(tx, incident.customer_id, "appeal", incident.id, channel=channel)
    return incident


async def decide_appeal(tx: Transaction, incident_id: UUID, reconsidered: Determination | None) -> Incident:
    """Judge once more, by what is on record now and, where it is `reconsidered`, by another cause.

    Raises NoSuchIncident, NoSuchWorkRequest, FoundInTheFuture, IllegalMove, OwnDecision, CauseUndetermined,
    FactsMissing, RecoveryNotTried.
    """
    contract, incident = await locked(tx, incident_id)
    incident.check_may_conclude(tx.actor)
    if reconsidered is not None:
        await check_named_work(tx, incident, reconsidered)
        incident.reconsider(reconsidered, by=tx.actor, now=tx.now)
        record_cause(tx, incident)
    facts = await _facts_beside_the_first(tx, contract, incident)
    verdict = await decisions.judge(tx, deciding_appeal, **_judged_by(incident), facts=facts)
    liability = _liability(incident, facts)
    incident.conclude(Liability(liability.word), liability.clause, by=tx.actor, now=tx.now)
    await incidents.save(tx, incident)
    tx.publish(AppealDecided(**_told(incident), verdict=verdict.word, decided_at=tx.now))
    audit_trail.record(
        tx, incident.customer_id, "decide-appeal", incident.id, verdict=verdict.word, liability=liability.word
    )
    return incident


async def _facts_beside_the_first(tx: Transaction, contract: Contract, incident: Incident) -> dict[str, Any]:
    facts = await facts_of(tx, contract, incident)
    return {**facts, "first": {"liability": incident.liability, "clause": incident.clause}}


def _liability(incident: Incident, facts: dict[str, Any]) -> Verdict:
    return judged(facts, agreements.parameters_of(incident.agreement_version))


def _judged_by(incident: Incident) -> dict[str, Any]:
    return {
        "subject_id": incident.id,
        "customer_id": incident.customer_id,
        "agreement_version": incident.agreement_version,
        "parameters": agreements.parameters_of(incident.agreement_version),
    }


def _told(incident: Incident) -> dict[str, Any]:
    return {
        "customer_id": incident.customer_id,
        "incident_id": incident.id,
        "contract_id": incident.contract_id,
        "agreement_version": incident.agreement_version,
        "period_index": incident.period_index,
        "server_id": incident.server_id,
        "cause": incident.determination.cause,
        "liability": incident.liability,
        "clause": incident.clause,
    }
