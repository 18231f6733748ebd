"""The customer asks for a period's payment back, or takes that back; billing says what became of it (6.2)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.contracts.db import agreements, contracts, incidents, refund_requests
from services.contracts.domain.contract import Contract, ContractStatus
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.incident import Incident, NoSuchIncident
from services.contracts.domain.period import ServicePeriod
from services.contracts.domain.refund_request import (
    Ground,
    NoSuchRefundRequest,
    PeriodNotPaid,
    RefundRequest,
    requesting,
)
from services.contracts.use_cases.happenings import settle
from shared.events.billing import RefundDeclined, RefundReleased
from shared.events.contracts import RefundRequested, RefundTakenBack
from shared.kernel.ids import new_id
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


async def request_refund(
    tx: Transaction,
    contract_id: UUID,
    *,
    only_customer: UUID | None,
    period_index: int,
    ground: Ground,
    incident_id: UUID | None,
    channel: str,
) -> RefundRequest:
    """`incident_id`: with the ground of a defect, and with no other.

    Raises NoSuchContract, OralRequest, NotRegistered, PeriodNotPaid, AlreadyRefunded, PaymentIsCredit,
    NoSuchIncident, NoCompanyDefect, RefundWindowClosed.
    """
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreements.published().version(contract.agreement_version).check_channel(channel)
    await settle(tx, contract, contract.catch_up(tx.now))
    period = await _period(tx, contract, period_index)
    incident = await _incident(tx, contract, incident_id) if incident_id else None
    request = RefundRequest(
        id=new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        period_index=period.index,
        agreement_version=period.agreement_version,
        ground=ground,
        incident_id=incident_id,
        channel=channel,
        requested_by=tx.actor,
        requested_at=tx.now,
    )
    await decisions.judge(
        tx,
        requesting,
        subject_id=request.id,
        customer_id=request.customer_id,
        agreement_version=request.agreement_version,
        parameters=agreements.published().version(request.agreement_version).parameters.shown(),
        facts=await _facts(tx, contract, period, request, incident),
        happened="accepted",
    )
    await refund_requests.insert(tx, request)
    contract.ask_refund(period.index, tx.now)
    await settle(tx, contract, [], changed=True)
    audit_trail.record(tx, contract.customer_id, "request-refund", request.id, period_index=period.index)
    tx.publish(
        RefundRequested(
            customer_id=request.customer_id,
            contract_id=request.contract_id,
            agreement_version=request.agreement_version,
            refund_id=request.id,
            period_index=request.period_index,
            ground=ground.value,
            incident_id=incident_id,
            requested_at=request.requested_at,
        )
    )
    return request


async def take_back(tx: Transaction, refund_id: UUID, *, only_customer: UUID | None, channel: str) -> RefundRequest:
    """Billing decides whether it came before the release. Raises NoSuchRefundRequest, OralRequest, IllegalMove."""
    known = await refund_requests.get(tx, refund_id, only_customer=only_customer)
    agreements.published().version(known.agreement_version).check_channel(channel)
    await contracts.get_for_update(tx, known.contract_id, only_customer=only_customer)
    request = await refund_requests.find_for_update(tx, refund_id)
    if request is None:
        raise NoSuchRefundRequest()
    request.take_back(tx.now)
    await refund_requests.save(tx, request)
    audit_trail.record(tx, request.customer_id, "take-back-refund", request.id, channel=channel)
    tx.publish(
        RefundTakenBack(
            customer_id=request.customer_id,
            contract_id=request.contract_id,
            agreement_version=request.agreement_version,
            refund_id=request.id,
            period_index=request.period_index,
            taken_back_at=tx.now,
        )
    )
    return request


async def hear_of_release(tx: Transaction, told: RefundReleased) -> None:
    """The money went back: the service ends with it. A request that is forgotten after a restore changes nothing."""
    contract = await contracts.get_for_update(tx, told.contract_id, only_customer=None)
    period = await contracts.period(tx, contract.id, told.period_index)
    request = await refund_requests.find_for_update(tx, told.refund_id)
    if request is not None and not request.is_answered:
        request.release(told.credit_note_number, told.released_at)
        await refund_requests.save(tx, request)
    if period is None or period.refund_id is not None:
        return
    happened = contract.hear_refund(told.refund_id, told.period_index, told.released_at)
    happened += contract.catch_up(tx.now)
    await settle(tx, contract, happened)


async def hear_of_decline(tx: Transaction, told: RefundDeclined) -> None:
    """The money stays: the service goes on as if nothing had been asked for."""
    contract = await contracts.get_for_update(tx, told.contract_id, only_customer=None)
    request = await refund_requests.find_for_update(tx, told.refund_id)
    if request is None or request.is_answered:
        return
    request.decline(told.reason, told.declined_at)
    await refund_requests.save(tx, request)
    contract.keep_payment(request.period_index)
    await settle(tx, contract, contract.catch_up(tx.now), changed=True)
    audit_trail.record(tx, request.customer_id, "hear-refund-declined", request.id, reason=told.reason)


async def _period(tx: Transaction, contract: Contract, period_index: int) -> ServicePeriod:
    if contract.current is None:
        raise NotRegistered(
            f"The contract is {contract.status}.",
            agreement_version=contract.agreement_version,
            state=str(contract.status),
        )
    period = await contracts.period(tx, contract.id, period_index)
    if period is None:
        raise PeriodNotPaid(agreement_version=contract.agreement_version, period_index=period_index)
    return period


async def _incident(tx: Transaction, contract: Contract, incident_id: UUID) -> Incident:
    """Looked for among the customer's own, so that nobody is told of another's; raises NoSuchIncident."""
    incident = await incidents.get(tx, incident_id, only_customer=contract.customer_id)
    if incident.contract_id != contract.id:
        raise NoSuchIncident()
    return incident


async def _facts(
    tx: Transaction, contract: Contract, period: ServicePeriod, request: RefundRequest, incident: Incident | None
) -> dict[str, Any]:
    before = await refund_requests.in_force(tx, contract.id, period.index)
    return {
        "agreement_version": request.agreement_version,
        "contract_id": str(contract.id),
        "channel": request.channel,
        "ground": request.ground.value,
        "period_index": period.index,
        "period_status": period.status.value,
        "never_begins": contract.status is ContractStatus.REFUNDED and period.index > contract.current_index,
        "starts_at": period.starts_at.isoformat(),
        "zone": contract.zone,
        "asked_at": request.requested_at.isoformat(),
        "asked_before": before and before.requested_at.isoformat(),
        "incident": incident and _shown(incident),
    }


def _shown(incident: Incident) -> dict[str, Any]:
    decided_at = incident.concluded_at or incident.decided_at
    return {
        "incident_id": str(incident.id),
        "period_index": incident.period_index,
        "liability": incident.liability and incident.liability.value,
        "clause": incident.clause,
        "decided_at": decided_at and decided_at.isoformat(),
    }
