"""How a work request's decision is told: the row that can be judged again, the fact for the others, the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, contracts, software, verified_backups, work_requests
from services.contracts.domain.agreement import Parameters
from services.contracts.domain.risk import RiskAssessment
from services.contracts.domain.risk_text import NotAssessed
from services.contracts.domain.software import SoftwareDeclaration, holding, undeclared
from services.contracts.domain.work_request import WorkRequest, WorkStatus
from services.contracts.use_cases.happenings import settle
from shared.events.contracts import WorkHeld, WorkReleased
from shared.kernel.judgement import Judgement
from shared.kit import audit_trail, decisions
from shared.kit.db import Reader, Transaction


async def get_served(tx: Transaction, work_request_id: UUID) -> WorkRequest:
    """The work request for update, behind its contract; raises NoSuchWorkRequest, NotRegistered."""
    known = await work_requests.get(tx, work_request_id, only_customer=None)
    contract = await contracts.get_for_update(tx, known.contract_id, only_customer=None)
    await settle(tx, contract, contract.catch_up(tx.now))
    contract.present()
    return await work_requests.get_for_update(tx, work_request_id, only_customer=None)


def parameters_of(work: WorkRequest) -> Parameters:
    return agreements.published().version(work.agreement_version).parameters


async def last_assessment(tx: Transaction, work: WorkRequest) -> RiskAssessment:
    """Raises NotAssessed."""
    assessment = await work_requests.assessment_of(tx, work)
    if assessment is None:
        raise NotAssessed(agreement_version=work.agreement_version)
    return assessment


async def facts_now(tx: Transaction, work: WorkRequest, assessment: RiskAssessment) -> dict[str, Any]:
    """The risk's facts at this moment: evidence grows old, and backups are made."""
    backup = await verified_backups.newest_of(tx, work.server_id)
    return {
        **risk_facts(assessment, backup.completed_at if backup else None, tx.now),
        "acknowledged": work.is_acknowledged,
        "software_named": len(work.software),
        "software_undeclared": len(await held_for(tx, work)),
    }


async def held_for(reader: Reader, work: WorkRequest) -> list[str]:
    """The software that the work touches and that is not declared on its server."""
    if not work.software:
        return []
    return await missing_from(reader, work, await software.newest_of(reader, work.server_id))


async def missing_from(reader: Reader, work: WorkRequest, declaration: SoftwareDeclaration | None) -> list[str]:
    return undeclared(work.software, await software.declared_among(reader, declaration, work.software))


async def tell_whether_held(tx: Transaction, work: WorkRequest, missing: int) -> None:
    """Decide it and let it be known; `missing` is the number of undeclared software that the work touches."""
    happened = "held" if missing else "goes-on"
    await decide(tx, work, holding, happened=happened, software_named=len(work.software), software_undeclared=missing)
    if missing:
        tx.publish(WorkHeld(**ids_of(work), undeclared=missing, held_at=tx.now))
    else:
        tx.publish(WorkReleased(**ids_of(work), released_at=tx.now))


def risk_facts(assessment: RiskAssessment, backup_completed_at: datetime | None, at: datetime) -> dict[str, Any]:
    seen = assessment.seen(backup_completed_at)
    return {
        "at": at.isoformat(),
        "hazard": assessment.hazard.shown(),
        "evidence": {evidence.value: instant.isoformat() for evidence, instant in seen.items()},
    }


async def decide(
    tx: Transaction,
    work: WorkRequest,
    judgement: Judgement,
    *,
    found: WorkStatus | None = None,
    happened: str | None = None,
    **facts: Any,
) -> None:
    """Judge by the agreement that rules the work, and keep it; raises what the rule raises.

    `found`: the state before; `happened` is the state after unless it is named.
    """
    asked = {
        "contract_id": str(work.contract_id),
        "server_id": str(work.server_id),
        "operation_code": work.operation_code,
        "agreement_version": work.agreement_version,
    }
    verdict = await decisions.judge(
        tx,
        judgement,
        subject_id=work.id,
        customer_id=work.customer_id,
        agreement_version=work.agreement_version,
        parameters=parameters_of(work).shown(),
        facts=asked | facts | ({"found": found.value} if found else {}),
        happened=happened or work.status.value,
    )
    verb = judgement.kind.removeprefix("work-request.")
    details = {"operation_code": work.operation_code, "verdict": verdict.word}
    audit_trail.record(tx, work.customer_id, f"{verb}-work", work.id, **details)


def ids_of(work: WorkRequest) -> dict[str, Any]:
    """What every fact about a work request says."""
    return {
        "customer_id": work.customer_id,
        "work_request_id": work.id,
        "contract_id": work.contract_id,
        "agreement_version": work.agreement_version,
        "operation_code": work.operation_code,
    }
