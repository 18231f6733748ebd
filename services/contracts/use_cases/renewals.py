"""The customer decides what comes after the present period (3.3)."""

from __future__ import annotations

from uuid import UUID

from services.contracts.db import acceptances, agreements, catalogue, contracts
from services.contracts.domain.contract import Contract
from services.contracts.domain.decision_table import Matter
from services.contracts.domain.period import BoughtPlan
from services.contracts.use_cases.contracts import Word, new_acceptance
from services.contracts.use_cases.happenings import settle
from shared.kit.db import Transaction


async def renew_contract(tx: Transaction, contract_id: UUID, word: Word, *, only_customer: UUID | None) -> Contract:
    """Into the plan's newest version. Raises NoSuchContract, OralRequest, NotRegistered, AfterTheEnd, AlreadyDecided,
    AgreementTextDiffers, and OutsideCatalogue when the plan is not offered any more.
    """
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreements.published().version(contract.agreement_version).check_channel(word.channel)
    happened = contract.catch_up(tx.now)
    contract.rule_on(Matter.RENEW, tx.now).enforce()
    offered = agreements.published().current(tx.now)
    offered.check_text(word.text)
    acceptance = new_acceptance(tx, contract, contract.current_index + 1, word)
    plan = catalogue.published().to_buy(contract.plan.code, now=tx.now, agreement_version=offered.version)
    await acceptances.keep(tx, acceptance, offered, plan)
    happened += contract.renew(
        plan=BoughtPlan.of(plan),
        acceptance=acceptance,
        window_days=offered.parameters.renewal_window_days,
        now=tx.now,
    )
    await settle(tx, contract, happened)
    return contract


async def stop_contract(tx: Transaction, contract_id: UUID, *, only_customer: UUID | None, channel: str) -> Contract:
    """Raises NoSuchContract, OralRequest, NotRegistered, AfterTheEnd, AlreadyDecided."""
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreements.published().version(contract.agreement_version).check_channel(channel)
    happened = contract.catch_up(tx.now)
    happened += contract.stop(tx.now)
    await settle(tx, contract, happened)
    return contract
