"""Work is asked for out of the catalogue, its risk assessed and acknowledged, and it is accepted or refused (1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.contracts.db import (
    agreements,
    bookings,
    catalogue,
    contracts,
    risk_texts,
    servers,
    verified_backups,
    work_requests,
)
from services.contracts.domain import work_rules
from services.contracts.domain.agreement import Language
from services.contracts.domain.booking import Preference
from services.contracts.domain.catalogue import OutsideCatalogue
from services.contracts.domain.contract import SERVED
from services.contracts.domain.risk import Evidence, RiskAssessment
from services.contracts.domain.risk_text import NotAssessed, RiskText, risk_text
from services.contracts.domain.work_request import (
    Acknowledgement,
    ServerOutsideContract,
    WorkRequest,
)
from services.contracts.use_cases.happenings import settle
from services.contracts.use_cases.work_decisions import (
    decide,
    facts_now,
    get_served,
    held_for,
    ids_of,
    last_assessment,
    parameters_of,
    risk_facts,
    tell_whether_held,
)
from shared.events.contracts import (
    WorkAccepted,
    WorkAcknowledged,
    WorkAssessed,
    WorkRefused,
    WorkRequested,
    WorkWithdrawn,
)
from shared.kernel.ids import new_id
from shared.kit.db import Reader, Transaction

NO_PREFERENCE = Preference()


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What the customer says it read, through which channel, from which address (personal data)."""

    language: Language
    text_sha256: str
    channel: str
    address: str


async def request_work(
    tx: Transaction,
    contract_id: UUID,
    *,
    only_customer: UUID | None,
    operation_code: str,
    server_id: UUID,
    note: str | None,
    channel: str,
    preference: Preference = NO_PREFERENCE,
    software: Sequence[str] = (),
) -> WorkRequest:
    """`software` names what it touches on the server; it is held until all of that is declared (4.1).

    Raises NoSuchContract, OralRequest, NotRegistered, OutsideCatalogue, ServerOutsideContract, WindowImpossible.
    """
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
    preference.check(agreement_version=period.agreement_version)
    work = WorkRequest(
        id=new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        server_id=server_id,
        operation_code=operation.code,
        risk=operation.risk,
        agreement_version=period.agreement_version,
        note=note,
        preference=preference,
        software=tuple(software),
        requested_at=tx.now,
    )
    shown = {
        "channel": channel,
        "served": contract.status in SERVED,
        "in_plan": operation.code in plan.operations,
        "on_a_server_of_the_contract": work.server_id in contract.server_ids,
    }
    await _open(tx, work, **shown)
    return work


async def open_warranty_work(tx: Transaction, work: WorkRequest, *, note: str | None) -> WorkRequest:
    """The work once more, free, as a warranty claim asks for it (6.1); whether it may is the claim's decision."""
    again = WorkRequest.under_warranty(work, id=new_id(), note=note, now=tx.now)
    await _open(tx, again, warranty_of=str(work.id))
    return again


async def assess_work(tx: Transaction, work_request_id: UUID, *, rehearsed: bool) -> WorkRequest:
    """Judge the risk by the catalogue and the evidence of this moment. Raises NoSuchWorkRequest, IllegalMove."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
    operation = catalogue.published().operation_called(work.operation_code)
    if operation is None:
        raise OutsideCatalogue(
            "The catalogue lists the operation no more.",
            field="operation_code",
            agreement_version=work.agreement_version,
        )
    backup = await verified_backups.newest_of(tx, work.server_id)
    seen = {Evidence.VERIFIED_BACKUP: backup.completed_at} if backup else {}
    if rehearsed:
        seen[Evidence.REHEARSAL] = tx.now
    assessment = RiskAssessment(
        id=new_id(),
        work_request_id=work.id,
        hazard=operation.hazard,
        backup_completed_at=seen.get(Evidence.VERIFIED_BACKUP),
        rehearsed_at=seen.get(Evidence.REHEARSAL),
        risk=operation.hazard.risk(seen, tx.now),
        assessed_by=tx.actor,
        assessed_at=tx.now,
    )
    found = work.status
    work.assess(assessment)
    await work_requests.keep_assessment(tx, assessment)
    await work_requests.save(tx, work)
    facts = risk_facts(assessment, assessment.backup_completed_at, tx.now)
    await decide(tx, work, work_rules.assessing, found=found, happened=assessment.risk.word, **facts)
    tx.publish(WorkAssessed(**ids_of(work), risk=assessment.risk.word, assessed_at=tx.now))
    return work


async def text_about_risk(reader: Reader, work: WorkRequest, language: Language) -> RiskText:
    """What the customer reads and signs; raises NotAssessed."""
    assessment = await work_requests.assessment_of(reader, work)
    operation = catalogue.published().operation_called(work.operation_code)
    if assessment is None or operation is None:
        raise NotAssessed(agreement_version=work.agreement_version)
    return risk_text(
        risk_texts.template(language),
        language,
        work=work,
        assessment=assessment,
        operation=operation,
        server=await servers.name_of(reader, work.server_id),
        parameters=parameters_of(work),
    )


async def acknowledge_risk(
    tx: Transaction, work_request_id: UUID, signature: Signature, *, only_customer: UUID | None
) -> WorkRequest:
    """Keep the customer's signed word.

    Raises NoSuchWorkRequest, OralRequest, NotAssessed, RiskTextDiffers, IllegalMove.
    """
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=only_customer)
    agreements.published().version(work.agreement_version).check_channel(signature.channel)
    assessment = await last_assessment(tx, work)
    text = await text_about_risk(tx, work, signature.language)
    text.check(signature.text_sha256, agreement_version=work.agreement_version)
    acknowledgement = Acknowledgement(
        id=new_id(),
        work_request_id=work.id,
        assessment_id=assessment.id,
        language=text.language.value,
        text_sha256=text.sha256,
        text=text.text,
        acknowledged_by=tx.actor,
        address=signature.address,
        channel=signature.channel,
        acknowledged_at=tx.now,
    )
    found = work.status
    work.acknowledge(acknowledgement)
    await work_requests.keep_acknowledgement(tx, acknowledgement)
    await work_requests.save(tx, work)
    shown = {
        "risk": assessment.risk.word,
        "assessment_id": str(assessment.id),
        "language": text.language.value,
        "text_sha256": signature.text_sha256,
        "offered_sha256": text.sha256,
        "channel": signature.channel,
    }
    await decide(tx, work, work_rules.acknowledging, found=found, happened="acknowledged", **shown)
    tx.publish(WorkAcknowledged(**ids_of(work), text_sha256=text.sha256, acknowledged_at=tx.now))
    return work


async def accept_work(tx: Transaction, work_request_id: UUID) -> WorkRequest:
    """Raises NoSuchWorkRequest, NotRegistered, IllegalMove, NotAcknowledged, NoFreshBackup, UndeclaredSoftware."""
    work = await get_served(tx, work_request_id)
    found = work.status
    work.accept(by=tx.actor, now=tx.now)
    await work_requests.save(tx, work)
    assessment = await last_assessment(tx, work)
    await decide(tx, work, work_rules.accepting, found=found, **await facts_now(tx, work, assessment))
    tx.publish(WorkAccepted(**ids_of(work), accepted_at=tx.now))
    return work


async def refuse_work(tx: Transaction, work_request_id: UUID, *, reason: str) -> WorkRequest:
    """By the risk as it was assessed. Raises NoSuchWorkRequest, NothingToRefuse, IllegalMove."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
    found = work.status
    work.refuse(reason=reason, by=tx.actor, now=tx.now)
    await work_requests.save(tx, work)
    assessment = await last_assessment(tx, work)
    facts = risk_facts(assessment, assessment.backup_completed_at, assessment.assessed_at)
    await decide(tx, work, work_rules.refusing, found=found, **facts)
    tx.publish(WorkRefused(**ids_of(work), decided_at=tx.now))
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
    await bookings.cancel(tx, work.id)
    await decide(tx, work, work_rules.withdrawing, found=found, channel=channel)
    tx.publish(WorkWithdrawn(**ids_of(work), decided_at=tx.now))
    return work


async def _open(tx: Transaction, work: WorkRequest, **shown: Any) -> None:
    await work_requests.insert(tx, work)
    origin, risk = work.origin.value, work.risk.word
    await decide(tx, work, work_rules.requesting, happened="accepted", origin=origin, risk=risk, **shown)
    tx.publish(WorkRequested(**ids_of(work), decided_at=tx.now))
    if missing := await held_for(tx, work):
        await tell_whether_held(tx, work, len(missing))
