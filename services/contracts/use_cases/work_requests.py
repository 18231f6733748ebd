"""Work is asked for out of the catalogue, done, refused or taken back (1.1, 3.1)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.contracts.db import agreements, catalogue, contracts, work_requests
from services.contracts.domain.contract import SERVED
from services.contracts.domain.work_request import (
    ServerOutsideContract,
    WorkRequest,
    completing,
    refusing,
    requesting,
    withdrawing,
)
from services.contracts.use_cases.happenings import settle
from shared.events.contracts import WorkCompleted, WorkRefused, WorkRequested, WorkRequestFact, WorkWithdrawn
from shared.kernel.ids import new_id
from shared.kernel.judgement import Judgement
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


async def request_work(
    tx: Transaction,
    contract_id: UUID,
    *,
    only_customer: UUID | None,
    operation_code: str,
    server_id: UUID,
    note: str | None,
    channel: str,
) -> WorkRequest:
    """Raises NoSuchContract, OralRequest, NotRegistered, OutsideCatalogue, ServerOutsideContract."""
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreements.published().version(contract.agreement_version).check_channel(channel)
    await settle(tx, contract, contract.catch_up(tx.now))
    period = contract.present()
    plan = catalogue.published().plan(
        period.plan.code, version=period.plan.version, agreement_version=period.agreement_version
    )
    operation = catalogue.published().operation(operation_code, plan=plan, agreement_version=period.agreement_version)
    if server_id not in contract.server_ids:
        raise ServerOutsideContract(field="server_id", agreement_version=period.agreement_version)
    work = WorkRequest(
        id=new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        server_id=server_id,
        operation_code=operation.code,
        risk=operation.risk,
        agreement_version=period.agreement_version,
        note=note,
        requested_at=tx.now,
    )
    await work_requests.insert(tx, work)
    shown = {
        "channel": channel,
        "served": contract.status in SERVED,
        "in_plan": operation.code in plan.operations,
        "on_a_server_of_the_contract": work.server_id in contract.server_ids,
    }
    await _tell(tx, work, WorkRequested, requesting, verb="request", happened="accepted", **shown)
    return work


async def complete_work(tx: Transaction, work_request_id: UUID) -> WorkRequest:
    """Raises NoSuchWorkRequest, IllegalMove."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
    found = work.status
    work.complete(by=tx.actor, now=tx.now)
    await work_requests.save(tx, work)
    await _tell(tx, work, WorkCompleted, completing, verb="complete", happened="completed", found=found)
    return work


async def refuse_work(tx: Transaction, work_request_id: UUID, *, reason: str) -> WorkRequest:
    """Raises NoSuchWorkRequest, NothingToRefuse, IllegalMove."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
    agreement, found = agreements.published().version(work.agreement_version), work.status
    work.refuse(threshold=agreement.parameters.refuse_at_or_above, reason=reason, by=tx.actor, now=tx.now)
    await work_requests.save(tx, work)
    await _tell(tx, work, WorkRefused, refusing, verb="refuse", happened="refused", found=found)
    return work


async def withdraw_work(
    tx: Transaction, work_request_id: UUID, *, only_customer: UUID | None, channel: str
) -> WorkRequest:
    """Raises NoSuchWorkRequest, OralRequest, IllegalMove."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=only_customer)
    agreements.published().version(work.agreement_version).check_channel(channel)
    found = work.status
    work.withdraw(by=tx.actor, now=tx.now)
    await work_requests.save(tx, work)
    shown = {"channel": channel, "found": found}
    await _tell(tx, work, WorkWithdrawn, withdrawing, verb="withdraw", happened="withdrawn", **shown)
    return work


async def _tell(
    tx: Transaction,
    work: WorkRequest,
    kind: type[WorkRequestFact],
    judgement: Judgement,
    *,
    verb: str,
    happened: str,
    **shown: Any,
) -> None:
    fact = kind(
        customer_id=work.customer_id,
        work_request_id=work.id,
        contract_id=work.contract_id,
        agreement_version=work.agreement_version,
        operation_code=work.operation_code,
        decided_at=tx.now,
    )
    tx.publish(fact)
    asked = {
        "contract_id": str(work.contract_id),
        "operation_code": work.operation_code,
        "risk": work.risk.word,
        "server_id": str(work.server_id),
    }
    await decisions.judge(
        tx,
        judgement,
        subject_id=work.id,
        customer_id=work.customer_id,
        agreement_version=work.agreement_version,
        parameters=agreements.published().version(work.agreement_version).parameters.shown(),
        facts=asked | shown,
        happened=happened,
    )
    audit_trail.record(tx, work.customer_id, f"{verb}-work", work.id, operation_code=work.operation_code)
