"""What billing does when contracts speaks: ask for a period's fee, or cease to."""

from __future__ import annotations

from services.billing.db import numbering
from services.billing.domain.ending import Ending
from services.billing.domain.invoice import Number, VoidReason
from services.billing.use_cases import invoices, refunds
from shared.events.billing import CreditNoteIssued, InvoiceIssued
from shared.events.contracts import (
    ContractAccepted,
    ContractWithdrawn,
    RefundRequested,
    RefundTakenBack,
    RenewalRefused,
    RenewalRequested,
    ServiceExpired,
    ServiceExtended,
    ServiceRefunded,
    ServiceRenewed,
    StopRequested,
)
from shared.events.envelope import Envelope
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.restoring import Memory
from shared.kit.db import Transaction

handlers = Handlers()
memory = Memory()


@handlers.on(ContractAccepted)
async def bill_first_period(tx: Transaction, fact: ContractAccepted, _envelope: Envelope) -> None:
    period = invoices.PeriodToBill(
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        period_index=fact.period_index,
        agreement_version=fact.agreement_version,
        plan_code=fact.plan_code,
        term_months=fact.term_months,
        fee=fact.fee.money(),
        mailing_fee=fact.mailing_fee.money(),
        paper_bill=fact.paper_bill,
        asked_at=fact.accepted_at,
    )
    await invoices.bill_period(tx, period)


@handlers.on(RenewalRequested)
async def bill_next_period(tx: Transaction, fact: RenewalRequested, _envelope: Envelope) -> None:
    period = invoices.PeriodToBill(
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        period_index=fact.period_index,
        agreement_version=fact.agreement_version,
        plan_code=fact.plan_code,
        term_months=fact.term_months,
        fee=fact.fee.money(),
        mailing_fee=fact.mailing_fee.money(),
        paper_bill=fact.paper_bill,
        asked_at=fact.requested_at,
        starts_at=fact.starts_at,
        ends_at=fact.ends_at,
    )
    await invoices.bill_period(tx, period)


@handlers.on(ContractWithdrawn)
async def end_withdrawn(tx: Transaction, fact: ContractWithdrawn, _envelope: Envelope) -> None:
    ending = Ending(
        contract_id=fact.contract_id,
        last_period_index=0,
        reason=VoidReason.CONTRACT_WITHDRAWN,
        ended_at=fact.withdrawn_at,
        may_be_held=False,
    )
    await invoices.end_contract(tx, fact.customer_id, ending)


@handlers.on(ServiceExpired)
async def end_expired(tx: Transaction, fact: ServiceExpired, _envelope: Envelope) -> None:
    stopped = fact.reason == "stopped-by-customer"
    ending = Ending(
        contract_id=fact.contract_id,
        last_period_index=fact.period_index,
        reason=VoidReason.STOPPED_BY_CUSTOMER if stopped else VoidReason.SERVICE_EXPIRED,
        ended_at=fact.ended_at,
        may_be_held=fact.reason == "not-renewed",
    )
    await invoices.end_contract(tx, fact.customer_id, ending)


@handlers.on(ServiceRefunded)
async def end_refunded(tx: Transaction, fact: ServiceRefunded, _envelope: Envelope) -> None:
    ending = Ending(
        contract_id=fact.contract_id,
        last_period_index=fact.period_index,
        reason=VoidReason.SERVICE_EXPIRED,
        ended_at=fact.ended_at,
        may_be_held=False,
    )
    await invoices.end_contract(tx, fact.customer_id, ending)


@handlers.on(RenewalRefused)
async def end_refused_renewal(tx: Transaction, fact: RenewalRefused, _envelope: Envelope) -> None:
    ending = Ending(
        contract_id=fact.contract_id,
        last_period_index=fact.period_index - 1,
        reason=VoidReason.SERVICE_EXPIRED,
        ended_at=fact.ended_at,
        may_be_held=False,
    )
    await invoices.end_contract(tx, fact.customer_id, ending)


@handlers.on(StopRequested)
async def withdraw_renewal(tx: Transaction, fact: StopRequested, _envelope: Envelope) -> None:
    await invoices.withdraw_renewal(tx, fact.customer_id, fact.contract_id, fact.period_index)


@handlers.on(ServiceRenewed)
async def serve_renewed(tx: Transaction, fact: ServiceRenewed, _envelope: Envelope) -> None:
    await invoices.serve_period(tx, fact.contract_id, fact.period_index)


@handlers.on(ServiceExtended)
async def serve_extended(tx: Transaction, fact: ServiceExtended, _envelope: Envelope) -> None:
    """An ending with that period no longer holds: what follows may be paid; RenewalRequested asks for it again."""
    await invoices.serve_period(tx, fact.contract_id, fact.period_index + 1)


@handlers.on(RefundRequested)
async def ask_refund(tx: Transaction, fact: RefundRequested, _envelope: Envelope) -> None:
    await refunds.hear_request(tx, fact)


@handlers.on(RefundTakenBack)
async def take_refund_back(tx: Transaction, fact: RefundTakenBack, _envelope: Envelope) -> None:
    await refunds.hear_taken_back(tx, fact)


@memory.facts.on(InvoiceIssued)
async def keep_number(tx: Transaction, fact: InvoiceIssued, _envelope: Envelope) -> None:
    """A customer holds an invoice of this number: it is not given to another."""
    await numbering.go_on_after(tx, Number.read(fact.number))


@memory.facts.on(CreditNoteIssued)
async def keep_credit_note_number(tx: Transaction, fact: CreditNoteIssued, _envelope: Envelope) -> None:
    """Nor is the number of a credit note."""
    await numbering.go_on_after(tx, Number.read(fact.number))
