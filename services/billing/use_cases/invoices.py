"""Asking for the fee of a period, and ceasing to ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.billing.db import accounts, endings, invoices, numbering, payments, profiles
from services.billing.db.houses import house_of
from services.billing.domain.ending import Ending
from services.billing.domain.invoice import Invoice, VoidReason
from services.billing.domain.payment import PaymentStatus
from services.billing.domain.profile import BillingProfile
from services.billing.domain.tax import TaxCategory, tax_facts, taxing, treatment_of
from services.billing.use_cases import credits
from shared.events.billing import InvoiceIssued, InvoiceVoided
from shared.events.envelope import Amount
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


@dataclass(frozen=True, kw_only=True)
class PeriodToBill:
    """What contracts said when the customer asked for a period."""

    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    plan_code: str
    term_months: int
    fee: Money
    mailing_fee: Money
    paper_bill: bool
    asked_at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None


async def bill_period(tx: Transaction, period: PeriodToBill) -> None:
    """Draft the period's one invoice and issue it at once if the customer's profile is known."""
    await accounts.lock(tx, period.customer_id)
    ending = await endings.find(tx, period.contract_id)
    if ending is not None and ending.is_after(period.period_index):
        return
    invoice = _draft(period, tx.now)
    if not await invoices.add(tx, invoice):
        return
    audit_trail.record(tx, invoice.customer_id, "bill", invoice.id, contract_id=str(invoice.contract_id))
    profile = await profiles.find(tx, period.customer_id)
    if profile is not None:
        await issue_invoice(tx, invoice, profile)


async def issue_invoice(tx: Transaction, invoice: Invoice, profile: BillingProfile) -> None:
    """Decide the tax and freeze the document under the next number."""
    house = house_of(tx)
    tax = treatment_of(profile, seller_country=house.seller.address.country, table=house.tax_table)
    issued_on = house.day_of(tx.now)
    number = await numbering.next_in(tx, house.series, issued_on.year)
    invoice.issue(number=number, seller=house.seller, buyer=profile.party, tax=tax, now=tx.now, on=issued_on)
    await invoices.save_issued(tx, invoice)
    await decisions.judge(
        tx,
        taxing,
        subject_id=invoice.id,
        customer_id=invoice.customer_id,
        agreement_version=invoice.agreement_version,
        parameters={},
        facts={
            **tax_facts(profile, seller_country=house.seller.address.country, table=house.tax_table),
            "category": tax.category,
            "rate_percent": str(tax.rate_percent),
        },
        happened="taxed" if tax.category is TaxCategory.STANDARD else "untaxed",
    )
    audit_trail.record(tx, invoice.customer_id, "issue", invoice.id, number=str(number))
    tx.publish(
        InvoiceIssued(
            customer_id=invoice.customer_id,
            invoice_id=invoice.id,
            contract_id=invoice.contract_id,
            period_index=invoice.period_index,
            number=str(number),
            net=Amount.of(invoice.fee),
            tax=Amount.of(invoice.issued_document.tax),
            mailing=Amount.of(invoice.mailing),
            total=Amount.of(invoice.total),
            issued_at=tx.now,
        )
    )


async def end_contract(tx: Transaction, customer_id: UUID, ending: Ending) -> None:
    """Later periods will not be served: their invoices are voided and what was paid for them becomes credit."""
    await accounts.lock(tx, customer_id)
    await endings.save(tx, ending)
    for invoice in await invoices.after_period(tx, ending.contract_id, ending.last_period_index):
        await close_if_over(tx, invoice, ending)


async def close_if_over(tx: Transaction, invoice: Invoice, ending: Ending) -> None:
    """For an invoice that is locked: void it, or pay its money back as credit, once nothing can come of it."""
    if not ending.closes(invoice, await payments.of_invoice(tx, invoice.id)):
        return
    if invoice.is_open:
        await _void(tx, invoice, ending.reason)
    await credits.credit_unserved(tx, invoice)


async def withdraw_renewal(tx: Transaction, customer_id: UUID, contract_id: UUID, period_index: int) -> None:
    """The customer stops: the next period's invoice is voided unless money for it is on its way."""
    await accounts.lock(tx, customer_id)
    for invoice in await invoices.after_period(tx, contract_id, period_index):
        under_way = any(
            payment.status is not PaymentStatus.REJECTED for payment in await payments.of_invoice(tx, invoice.id)
        )
        if invoice.is_open and not under_way:
            await _void(tx, invoice, VoidReason.STOPPED_BY_CUSTOMER)


async def serve_period(tx: Transaction, contract_id: UUID, period_index: int) -> None:
    """The period is served after all: an earlier ending no longer holds."""
    await endings.forget(tx, contract_id, before_period=period_index)


async def _void(tx: Transaction, invoice: Invoice, reason: VoidReason) -> None:
    invoice.void(reason, now=tx.now)
    await invoices.save(tx, invoice)
    audit_trail.record(tx, invoice.customer_id, "void", invoice.id, reason=reason.value)
    if invoice.document is not None:
        tx.publish(
            InvoiceVoided(
                customer_id=invoice.customer_id,
                invoice_id=invoice.id,
                contract_id=invoice.contract_id,
                period_index=invoice.period_index,
                number=str(invoice.document.number),
                reason=reason.value,
                voided_at=tx.now,
            )
        )


def _draft(period: PeriodToBill, now: datetime) -> Invoice:
    return Invoice(
        id=new_id(),
        customer_id=period.customer_id,
        contract_id=period.contract_id,
        period_index=period.period_index,
        agreement_version=period.agreement_version,
        plan_code=period.plan_code,
        term_months=period.term_months,
        fee=period.fee,
        mailing=period.mailing_fee if period.paper_bill else Money(0, period.fee.currency),
        asked_at=period.asked_at,
        created_at=now,
        period_starts_at=period.starts_at,
        period_ends_at=period.ends_at,
    )
