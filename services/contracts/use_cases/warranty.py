"""The warranty of a contract's service, and claims that open a free work order (6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, contracts, warranty_claims, work_requests
from services.contracts.domain.contract import Contract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.warranty import NothingUnderWarranty, Warranty, WarrantyClaim, claiming, warranty_of
from services.contracts.domain.work_request import NoSuchWorkRequest, WorkRequest
from services.contracts.use_cases.happenings import settle
from services.contracts.use_cases.work_requests import open_warranty_work
from shared.events.contracts import WarrantyClaimed
from shared.kernel.ids import new_id
from shared.kit import audit_trail, decisions
from shared.kit.db import Reader, Transaction


@dataclass(frozen=True, kw_only=True)
class ClaimedWork:
    """By its id, or the newest of an operation on a server."""

    work_request_id: UUID | None
    server_id: UUID | None
    operation_code: str | None


async def read_warranty(reader: Reader, contract: Contract) -> Warranty:
    """By the agreement that rules the contract now; `contract` has caught up. Raises NotRegistered."""
    first = await contracts.period(reader, contract.id, 1)
    if first is None or contract.current is None:
        raise NotRegistered(
            f"The contract is {contract.status}.",
            agreement_version=contract.agreement_version,
            state=str(contract.status),
        )
    parameters = agreements.published().version(contract.agreement_version).parameters
    return warranty_of(
        first.starts_at,
        ended_at=contract.ended_at,
        zone=contract.zone,
        starts_after_days=parameters.warranty_starts_after_days,
        lasts=parameters.warranty_lasts,
    )


async def claim_warranty(
    tx: Transaction,
    contract_id: UUID,
    claimed: ClaimedWork,
    *,
    only_customer: UUID | None,
    note: str | None,
    channel: str,
) -> WarrantyClaim:
    """Raises NoSuchContract, OralRequest, NotRegistered, NoSuchWorkRequest, and what the judgement raises."""
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreement = agreements.published().version(contract.agreement_version)
    agreement.check_channel(channel)
    await settle(tx, contract, contract.catch_up(tx.now))
    first = await contracts.period(tx, contract.id, 1)
    if first is None or contract.current is None:
        raise NotRegistered(agreement_version=contract.agreement_version, state=str(contract.status))
    work = await _work(tx, contract, claimed)
    claim_id = new_id()
    await decisions.judge(
        tx,
        claiming,
        subject_id=claim_id,
        customer_id=contract.customer_id,
        agreement_version=agreement.version,
        parameters=agreement.parameters.shown(),
        facts={
            "agreement_version": agreement.version,
            "contract_id": str(contract.id),
            "channel": channel,
            "zone": contract.zone,
            "began_at": first.starts_at.isoformat(),
            "ended_at": contract.ended_at and contract.ended_at.isoformat(),
            "claimed_at": tx.now.isoformat(),
            **await _work_facts(tx, work),
        },
        happened="granted",
    )
    assert work is not None
    again = await open_warranty_work(tx, work, note=note)
    claim = WarrantyClaim(
        id=claim_id,
        contract_id=contract.id,
        customer_id=contract.customer_id,
        period_index=contract.current.index,
        agreement_version=agreement.version,
        claimed_work_request_id=work.id,
        work_request_id=again.id,
        channel=channel,
        claimed_by=tx.actor,
        claimed_at=tx.now,
    )
    await warranty_claims.insert(tx, claim)
    audit_trail.record(tx, claim.customer_id, "claim-warranty", claim.id, work_request_id=str(again.id))
    tx.publish(_claimed(claim, again))
    return claim


async def _work(tx: Transaction, contract: Contract, claimed: ClaimedWork) -> WorkRequest | None:
    """The work that is claimed about, for update; None if nothing of the kind was done."""
    work_request_id = claimed.work_request_id
    if work_request_id is None:
        if claimed.server_id is None or claimed.operation_code is None:
            raise NothingUnderWarranty(field="work_request_id", agreement_version=contract.agreement_version)
        work_request_id = await warranty_claims.newest_done(tx, contract.id, claimed.server_id, claimed.operation_code)
        if work_request_id is None:
            return None
    # Among the customer's own, so that nobody waits for another's or is told of it.
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=contract.customer_id)
    if work.contract_id != contract.id:
        raise NoSuchWorkRequest()
    return work


async def _work_facts(tx: Transaction, work: WorkRequest | None) -> dict[str, Any]:
    if work is None:
        return {"work": None, "under_way": None}
    under_way = await warranty_claims.under_way(tx, work.id)
    shown = {"work_request_id": str(work.id), "operation_code": work.operation_code, "status": work.status.value}
    return {"work": shown, "under_way": under_way and str(under_way)}


def _claimed(claim: WarrantyClaim, again: WorkRequest) -> WarrantyClaimed:
    return WarrantyClaimed(
        customer_id=claim.customer_id,
        contract_id=claim.contract_id,
        agreement_version=claim.agreement_version,
        claim_id=claim.id,
        period_index=claim.period_index,
        server_id=again.server_id,
        operation_code=again.operation_code,
        claimed_work_request_id=claim.claimed_work_request_id,
        work_request_id=claim.work_request_id,
        claimed_at=claim.claimed_at,
    )
