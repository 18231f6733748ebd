"""A contract before its service: drafted, accepted, withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.contracts.db import acceptances, agreements, catalogue, contracts, customers, servers
from services.contracts.domain import choice
from services.contracts.domain.agreement import AcceptedText, Agreement
from services.contracts.domain.contract import Acceptance, Contract
from services.contracts.domain.period import BoughtPlan
from services.contracts.domain.server import NoSuchServer
from shared.events.contracts import ContractAccepted, ContractWithdrawn
from shared.events.envelope import Amount
from shared.kernel.ids import new_id
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


@dataclass(frozen=True, kw_only=True)
class Word:
    """How a customer's command reached us: the text it accepts, through which channel, from which address."""

    text: AcceptedText
    channel: str
    address: str


async def draft_contract(
    tx: Transaction,
    customer_id: UUID,
    *,
    only_customer: UUID | None,
    plan_code: str,
    server_ids: Sequence[UUID],
    paper_bill: bool,
    channel: str,
) -> Contract:
    """Raises OralRequest, OutsideCatalogue, NoSuchCustomer, NoSuchServer, ServerInAnotherContract."""
    offered = agreements.published().current(tx.now)
    offered.check_channel(channel)
    customer = await customers.get(tx, customer_id, only_customer=only_customer)
    plan = catalogue.published().to_buy(plan_code, now=tx.now, agreement_version=offered.version)
    if missing := set(server_ids) - await servers.known_of(tx, customer.id, server_ids):
        raise NoSuchServer(field="server_ids", server_ids=sorted(map(str, missing)))
    contract = Contract(
        id=new_id(),
        customer_id=customer.id,
        zone=customer.zone,
        server_ids=tuple(server_ids),
        plan=BoughtPlan.of(plan),
        paper_bill=paper_bill,
        agreement_version=offered.version,
        drafted_at=tx.now,
    )
    await contracts.insert(tx, contract)
    audit_trail.record(tx, customer.id, "draft-contract", contract.id, plan_code=plan.code, channel=channel)
    return contract


async def accept_contract(tx: Transaction, contract_id: UUID, word: Word, *, only_customer: UUID | None) -> Contract:
    """Raises OralRequest, AgreementTextDiffers, IllegalMove, NoSuchContract, OutsideCatalogue."""
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    offered = agreements.published().current(tx.now)
    offered.check_channel(word.channel)
    offered.check_text(word.text)
    acceptance = new_acceptance(tx, contract, 1, word)
    contract.accept(acceptance)
    plan = catalogue.published().drafted(
        contract.plan.code, contract.plan.version, now=tx.now, agreement_version=offered.version
    )
    await acceptances.keep(tx, acceptance, offered, plan)
    await contracts.save(tx, contract)
    tx.publish(_accepted(contract, acceptance, offered))
    await _judge_acceptance(tx, contract, acceptance, offered)
    return contract


async def withdraw_contract(
    tx: Transaction, contract_id: UUID, *, only_customer: UUID | None, channel: str
) -> Contract:
    """Raises OralRequest, NothingToWithdraw, NoSuchContract."""
    contract = await contracts.get_for_update(tx, contract_id, only_customer=only_customer)
    agreements.published().version(contract.agreement_version).check_channel(channel)
    contract.withdraw(tx.now)
    await contracts.save(tx, contract)
    fact = ContractWithdrawn(
        customer_id=contract.customer_id,
        contract_id=contract.id,
        agreement_version=contract.agreement_version,
        withdrawn_at=tx.now,
    )
    tx.publish(fact)
    audit_trail.record(tx, contract.customer_id, "withdraw-contract", contract.id, channel=channel)
    return contract


def new_acceptance(tx: Transaction, contract: Contract, period_index: int, word: Word) -> Acceptance:
    """The word of whoever calls, for that period."""
    return Acceptance(
        id=new_id(),
        contract_id=contract.id,
        period_index=period_index,
        text=word.text,
        accepted_by=tx.actor,
        address=word.address,
        channel=word.channel,
        accepted_at=tx.now,
    )


def _accepted(contract: Contract, acceptance: Acceptance, agreement: Agreement) -> ContractAccepted:
    return ContractAccepted(
        customer_id=contract.customer_id,
        contract_id=contract.id,
        agreement_version=agreement.version,
        text_sha256=acceptance.text.sha256,
        language=acceptance.text.language.value,
        plan_code=contract.plan.code,
        plan_version=contract.plan.version,
        term_months=contract.plan.term_months,
        fee=Amount.of(contract.plan.fee),
        mailing_fee=Amount.of(agreement.parameters.mailing_fee(contract.plan.fee.currency)),
        paper_bill=contract.paper_bill,
        server_ids=list(contract.server_ids),
        accepted_at=acceptance.accepted_at,
    )


async def _judge_acceptance(tx: Transaction, contract: Contract, acceptance: Acceptance, agreement: Agreement) -> None:
    text = acceptance.text
    await decisions.judge(
        tx,
        choice.accepting,
        subject_id=contract.id,
        customer_id=contract.customer_id,
        agreement_version=text.version,
        parameters=agreement.parameters.shown(),
        facts={
            "language": text.language.value,
            "text_sha256": text.sha256,
            "offered_sha256": agreement.sha256(text.language),
            "plan_code": contract.plan.code,
            "plan_version": contract.plan.version,
            "channel": acceptance.channel,
        },
        happened="accepted",
    )
    audit_trail.record(
        tx, contract.customer_id, "accept-contract", contract.id, text_sha256=text.sha256, channel=acceptance.channel
    )
