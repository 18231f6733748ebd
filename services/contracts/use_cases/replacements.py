"""What was disclosed is replaced, in time or late: its disclosure is answered, the contract no longer flagged (5.2)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, contracts, disclosures
from services.contracts.domain.contract import Contract
from services.contracts.domain.disclosure import Disclosure, settling
from services.contracts.domain.secret import Secret
from shared.events.contracts import DisclosedSecretReplaced
from shared.kernel.judgement import Verdict
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction
from shared.kit.schedule import cancel_timer

ROTATION_DUE = "disclosure.rotation-due"


async def lock_contracts(tx: Transaction, server_id: UUID, secret_id: UUID) -> dict[UUID, Contract]:
    """Those whose disclosures a replacement may answer: behind them nobody reports another meanwhile."""
    serving = await contracts.ids_serving(tx, server_id)
    return await contracts.get_all_for_update(tx, serving | await disclosures.contracts_waiting_for(tx, secret_id))


async def hear_of_replacement(tx: Transaction, secret: Secret, concerned: dict[UUID, Contract]) -> None:
    """The vault keeps another value now."""
    for disclosure in await disclosures.open_of_secret_for_update(tx, secret.id):
        if disclosure.contract_id not in concerned:
            found = await contracts.get_for_update(tx, disclosure.contract_id, only_customer=None)
            concerned[found.id] = found
        await answer(tx, disclosure, replaced_at=tx.now)
    await flag(tx, concerned.values())


async def answer(tx: Transaction, disclosure: Disclosure, *, replaced_at: datetime) -> None:
    """Raises IllegalMove."""
    disclosure.replace(replaced_at)
    await disclosures.save(tx, disclosure)
    await cancel_timer(tx, ROTATION_DUE, disclosure.id)
    verdict = await settle(tx, disclosure, at=replaced_at, replaced=True)
    tx.publish(
        DisclosedSecretReplaced(
            **ids_of(disclosure), replaced_at=replaced_at, in_time=verdict.word == "replaced-in-time"
        )
    )
    audit_trail.record(tx, disclosure.customer_id, "answer-disclosure", disclosure.id, verdict=verdict.word)


async def settle(tx: Transaction, disclosure: Disclosure, *, at: datetime, replaced: bool) -> Verdict:
    """Judge whether it is, or was, in time."""
    facts = {
        "reported_at": disclosure.reported_at.isoformat(),
        "at": at.isoformat(),
        "replaced": replaced,
        "in_vault": disclosure.secret_id is not None,
    }
    return await decisions.judge(
        tx,
        settling,
        subject_id=disclosure.id,
        customer_id=disclosure.customer_id,
        agreement_version=disclosure.agreement_version,
        parameters=agreements.published().version(disclosure.agreement_version).parameters.shown(),
        facts=facts,
    )


async def flag(tx: Transaction, concerned: Iterable[Contract]) -> None:
    """Each contract shows since when something has waited to be replaced."""
    for contract in concerned:
        open_since = await disclosures.first_open(tx, contract.id)
        if open_since != contract.disclosure_open_since:
            contract.flag_disclosure(open_since=open_since)
            await contracts.save(tx, contract)


def ids_of(disclosure: Disclosure) -> dict[str, Any]:
    """What every fact about a disclosure says."""
    return {
        "customer_id": disclosure.customer_id,
        "contract_id": disclosure.contract_id,
        "agreement_version": disclosure.agreement_version,
        "period_index": disclosure.period_index,
        "disclosure_id": disclosure.id,
        "server_id": disclosure.server_id,
        "secret_id": disclosure.secret_id,
    }
