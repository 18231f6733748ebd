"""Special circumstances: explained by the customer in time, granted or refused by somebody else (3.5)."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, contracts, extensions
from services.contracts.domain.agreement import Parameters
from services.contracts.domain.contract import Contract, ContractStatus
from services.contracts.domain.extension import Extension, Span, approving, recording, refusing
from services.contracts.domain.period import ServicePeriod
from services.contracts.domain.server import ServerInAnotherContract
from services.contracts.use_cases.happenings import EXTENSION_ENDS, settle
from shared.events.contracts import ExtensionRefused, ExtensionRequested, ServiceExtended
from shared.kernel.ids import new_id
from shared.kernel.judgement import Judgement
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction
from shared.kit.schedule import set_timer


async def explain_circumstances(
    tx: Transaction,
    contract_id: UUID,
    *,
    only_customer: UUID | None,
    reason: str,
    until_on: date | None,
    channel: str,
) -> Extension:
    """Raises NoSuchContract, OralRequest, NotRegistered, ExplainedTooLate, AlreadyExplained, NothingToExtend,
    AlreadyDecided, ExtensionOutOfRange.
    """
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreements.published().version(contract.agreement_version).check_channel(channel)
    happened = contract.catch_up(tx.now)
    period = contract.explain(tx.now)
    if until_on is not None:
        _span(contract, period).end_of(until_on, tx.now, agreement_version=period.agreement_version)
    extension = Extension(
        id=new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        period_index=period.index,
        agreement_version=period.agreement_version,
        period_ends_at=period.ends_at,
        zone=period.period.zone,
        reason=reason,
        wished_until_on=until_on,
        channel=channel,
        requested_by=tx.actor,
        requested_at=tx.now,
    )
    await extensions.insert(tx, extension)
    await settle(tx, contract, happened, changed=True)
    await _judge(tx, recording, extension, "recorded", channel=channel)
    tx.publish(ExtensionRequested(**_named(extension), ends_at=extension.period_ends_at, requested_at=tx.now))
    return extension


async def approve_extension(tx: Transaction, extension_id: UUID, *, until_on: date) -> Extension:
    """The company carries the service on through that day, and brings one back that has ended meanwhile.

    Raises NoSuchExtension, OwnExplanation, AlreadyAnswered, ExtensionOutOfRange, NothingToExtend, AlreadyDecided,
    ServerInAnotherContract.
    """
    contract, extension = await _locked(tx, extension_id)
    happened = contract.catch_up(tx.now)
    extension.check_answerable(tx.actor)
    period = contract.check_extendable(extension.period_index)
    ended = contract.status is ContractStatus.EXPIRED
    if ended and not await contracts.servers_free(tx, contract):
        raise ServerInAnotherContract(clause="3.4", agreement_version=extension.agreement_version)
    until = extension.approve(_span(contract, period), until_on, by=tx.actor, now=tx.now)
    happened += contract.extend(extension.period_index, until, tx.now)
    await extensions.save(tx, extension)
    granted = {"until_on": until_on.isoformat(), "extended_until": until.isoformat()}
    await _judge(tx, approving, extension, "approved", **granted)
    tx.publish(
        ServiceExtended(
            **_named(extension),
            ends_at=extension.period_ends_at,
            until_on=until_on,
            extended_until=until,
            zone=extension.zone,
            was_ended=ended,
            retention_days=_parameters(extension).retention_days,
            extended_at=tx.now,
        )
    )
    await set_timer(tx, EXTENSION_ENDS, contract.id, until)
    await settle(tx, contract, happened, changed=True)
    return extension


async def refuse_extension(tx: Transaction, extension_id: UUID, *, reason: str) -> Extension:
    """Raises NoSuchExtension, OwnExplanation, AlreadyAnswered."""
    contract, extension = await _locked(tx, extension_id)
    happened = contract.catch_up(tx.now)
    extension.refuse(reason, by=tx.actor, now=tx.now)
    contract.refuse_extension(extension.period_index)
    await extensions.save(tx, extension)
    await settle(tx, contract, happened, changed=True)
    await _judge(tx, refusing, extension, "refused")
    tx.publish(ExtensionRefused(**_named(extension), ends_at=extension.period_ends_at, refused_at=tx.now))
    return extension


async def _locked(tx: Transaction, extension_id: UUID) -> tuple[Contract, Extension]:
    """The contract first, as everybody who changes both."""
    contract_id = (await extensions.get(tx, extension_id, only_customer=None)).contract_id
    contract = await contracts.get_for_update(tx, contract_id, only_customer=None)
    return contract, await extensions.get_for_update(tx, extension_id)


def _span(contract: Contract, period: ServicePeriod) -> Span:
    following = contract.next_period
    return Span(
        period.period,
        longest_days=agreements.published().version(period.agreement_version).parameters.longest_extension_days,
        paid_until=following.ends_at if following else period.period.next().ends_at,
    )


def _parameters(extension: Extension) -> Parameters:
    return agreements.published().version(extension.agreement_version).parameters


async def _judge(tx: Transaction, judgement: Judgement, extension: Extension, happened: str, **facts: Any) -> None:
    await decisions.judge(
        tx,
        judgement,
        subject_id=extension.id,
        customer_id=extension.customer_id,
        agreement_version=extension.agreement_version,
        parameters=agreements.parameters_of(extension.agreement_version),
        facts={
            "contract_id": str(extension.contract_id),
            "period_index": extension.period_index,
            "explained_at": extension.requested_at.isoformat(),
            "ends_at": extension.period_ends_at.isoformat(),
            "zone": extension.zone,
            "own_explanation": extension.decided_by == extension.requested_by,
            **facts,
        },
        happened=happened,
    )
    audit_trail.record(
        tx, extension.customer_id, f"extension-{happened}", extension.id, contract_id=str(extension.contract_id)
    )


def _named(extension: Extension) -> dict[str, Any]:
    return {
        "customer_id": extension.customer_id,
        "contract_id": extension.contract_id,
        "agreement_version": extension.agreement_version,
        "extension_id": extension.id,
        "period_index": extension.period_index,
    }
