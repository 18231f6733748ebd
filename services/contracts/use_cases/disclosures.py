"""A disclosed secret is reported, and the agreement's time to replace it runs (5.2, 5.3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, contracts, disclosures, secrets
from services.contracts.domain.contract import Contract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.disclosure import (
    DisclosedBy,
    DisclosedKind,
    Disclosure,
    DisclosureStatus,
    Source,
    StillInTheVault,
    check_happened,
    reporting,
)
from services.contracts.domain.secret import NoSuchSecret, Secret, SecretStatus
from services.contracts.domain.work_request import ServerOutsideContract
from services.contracts.use_cases import replacements
from services.contracts.use_cases.happenings import settle
from services.contracts.use_cases.incidents.facts import service_at
from services.contracts.use_cases.replacements import ROTATION_DUE, ids_of
from shared.events.contracts import RotationOverdue, SecretDisclosed
from shared.kernel.ids import new_id
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction
from shared.kit.schedule import set_timer


async def report_disclosure(
    tx: Transaction,
    contract_id: UUID,
    *,
    only_customer: UUID | None,
    server_id: UUID,
    secret_id: UUID | None,
    kind: DisclosedKind | None,
    disclosed_by: DisclosedBy,
    disclosed_at: datetime,
    channel: str,
) -> Disclosure:
    """Of a secret in the vault (`secret_id`), or of another of that `kind`.

    Raises NoSuchContract, OralRequest, NotRegistered, ServerOutsideContract, DisclosedLater, NoSuchSecret.
    """
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreement = agreements.published().version(contract.agreement_version)
    agreement.check_channel(channel)
    await settle(tx, contract, contract.catch_up(tx.now))
    if contract.current is None:
        raise NotRegistered(agreement_version=contract.agreement_version, state=str(contract.status))
    if server_id not in contract.server_ids:
        raise ServerOutsideContract(field="server_id", agreement_version=contract.agreement_version)
    check_happened(disclosed_at, tx.now)
    secret = await _secret(tx, secret_id, server_id, contract)
    facts = await _facts(tx, contract, secret, kind, disclosed_by, disclosed_at, channel)
    verdict = await decisions.judge(
        tx,
        reporting,
        subject_id=(disclosure_id := new_id()),
        customer_id=contract.customer_id,
        agreement_version=contract.agreement_version,
        parameters=agreement.parameters.shown(),
        facts=facts,
    )
    disclosure = Disclosure(
        id=disclosure_id,
        contract_id=contract.id,
        customer_id=contract.customer_id,
        server_id=server_id,
        secret_id=secret_id,
        kind=DisclosedKind(facts["kind"]),
        disclosed_by=disclosed_by,
        source=Source.CUSTOMER if only_customer is not None else Source.STAFF,
        period_index=contract.current_index,
        agreement_version=contract.agreement_version,
        clause=verdict.clause,
        responsible=verdict.word,
        disclosed_at=disclosed_at,
        channel=channel,
        reported_at=tx.now,
        reported_by=tx.actor,
        replace_by=tx.now + timedelta(hours=agreement.parameters.rotate_after_disclosure_hours),
    )
    await disclosures.insert(tx, disclosure)
    await set_timer(tx, ROTATION_DUE, disclosure.id, disclosure.replace_by)
    _tell(tx, disclosure)
    if secret is not None and secret.replaced_at is not None and secret.replaced_at > disclosed_at:
        await replacements.answer(tx, disclosure, replaced_at=tx.now)
    await replacements.flag(tx, [contract])
    return disclosure


async def confirm_replaced(
    tx: Transaction, disclosure_id: UUID, *, only_customer: UUID | None, channel: str
) -> Disclosure:
    """Of what the vault does not keep; raises NoSuchDisclosure, OralRequest, StillInTheVault, IllegalMove."""
    seen = await disclosures.get(tx, disclosure_id, only_customer=only_customer)
    agreements.published().version(seen.agreement_version).check_channel(channel)
    contract = await contracts.get_for_update(tx, seen.contract_id, only_customer=None)
    if seen.secret_id is not None:
        secret = await secrets.get_for_update(tx, seen.secret_id, only_customer=None)
        if secret.status is SecretStatus.KEPT and seen.is_open:
            raise StillInTheVault(agreement_version=seen.agreement_version)
    disclosure = await disclosures.get_for_update(tx, disclosure_id)
    await replacements.answer(tx, disclosure, replaced_at=tx.now)
    await replacements.flag(tx, [contract])
    return disclosure


async def miss_rotation(tx: Transaction, disclosure_id: UUID) -> None:
    """The agreement's time is over; nothing happens when it was replaced in time."""
    seen = await disclosures.get(tx, disclosure_id, only_customer=None)
    await contracts.get_for_update(tx, seen.contract_id, only_customer=None)
    disclosure = await disclosures.get_for_update(tx, disclosure_id)
    if disclosure.status is not DisclosureStatus.REPORTED or tx.now < disclosure.replace_by:
        return
    disclosure.miss(tx.now)
    await disclosures.save(tx, disclosure)
    await replacements.settle(tx, disclosure, at=tx.now, replaced=False)
    tx.publish(RotationOverdue(**ids_of(disclosure), replace_by=disclosure.replace_by, overdue_at=tx.now))
    audit_trail.record(tx, disclosure.customer_id, "miss-rotation", disclosure.id)


async def _secret(tx: Transaction, secret_id: UUID | None, server_id: UUID, contract: Contract) -> Secret | None:
    if secret_id is None:
        return None
    secret = await secrets.get_for_update(tx, secret_id, only_customer=contract.customer_id)
    if secret.server_id != server_id:
        raise NoSuchSecret(field="secret_id")
    return secret


async def _facts(
    tx: Transaction,
    contract: Contract,
    secret: Secret | None,
    kind: DisclosedKind | None,
    disclosed_by: DisclosedBy,
    disclosed_at: datetime,
    channel: str,
) -> dict[str, Any]:
    service = await service_at(tx, contract, disclosed_at)
    return {
        "kind": secret.kind.value if secret else kind and kind.value,
        "in_vault": secret is not None,
        "disclosed_by": disclosed_by.value,
        "disclosed_at": disclosed_at.isoformat(),
        "served": service is not None and service.served,
        "channel": channel,
    }


def _tell(tx: Transaction, disclosure: Disclosure) -> None:
    fact = SecretDisclosed(
        **ids_of(disclosure),
        secret_kind=disclosure.kind.value,
        responsible=disclosure.responsible,
        clause=disclosure.clause,
        disclosed_at=disclosure.disclosed_at,
        reported_at=disclosure.reported_at,
        replace_by=disclosure.replace_by,
    )
    tx.publish(fact)
    audit_trail.record(
        tx,
        disclosure.customer_id,
        "report-disclosure",
        disclosure.id,
        contract_id=str(disclosure.contract_id),
        responsible=disclosure.responsible,
        clause=disclosure.clause,
        channel=disclosure.channel,
    )
