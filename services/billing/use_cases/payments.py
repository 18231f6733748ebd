"""Reporting a payment, and its audit by somebody else (clause 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from uuid import UUID

from services.billing.db import endings, invoices, payments
from services.billing.db.evidence_files import EvidenceFiles
from services.billing.db.houses import house_of
from services.billing.domain.credit import CreditKind
from services.billing.domain.evidence import Upload, evidence_of
from services.billing.domain.invoice import Invoice, InvoiceStatus, NotPayable
from services.billing.domain.payment import (
    CLAUSE,
    Coverage,
    Payment,
    PaymentStatus,
    auditing,
    check_report,
    coverage,
    reporting,
)
from services.billing.use_cases import credits
from services.billing.use_cases.invoices import close_if_over
from shared.events.billing import InvoiceSettled, PaymentAudited, PaymentReported
from shared.events.envelope import Amount
from shared.kernel.ids import new_id
from shared.kernel.judgement import Judgement
from shared.kernel.money import Money, total
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


@dataclass(frozen=True, kw_only=True)
class Report:
    invoice_id: UUID
    amount: Money
    bank_reference: str | None
    paid_on: date | None
    channel: str
    upload: Upload | None


async def report_payment(
    tx: Transaction, report: Report, *, only_customer: UUID | None, by: str, files: EvidenceFiles
) -> Payment:
    """Take the report with its evidence; a refusal stores nothing.

    Raises OralRequest, NoSuchInvoice, NotPayable, WrongCurrency, NoEvidence, PaidInTheFuture,
    EvidenceTooLarge, EvidenceOfWrongType, DuplicateBankReference.
    """
    house_of(tx).check_channel(report.channel)
    invoice = await invoices.get_for_update(tx, report.invoice_id, only_customer=only_customer, clause=CLAUSE)
    check_report(
        invoice,
        report.amount,
        bank_reference=report.bank_reference,
        has_file=report.upload is not None,
        paid_on=report.paid_on,
        now=tx.now,
    )
    await _check_served(tx, invoice)
    payment = _payment(tx, report, invoice, by)
    await payments.add(tx, payment)
    if report.upload is not None and payment.evidence is not None:
        # On disk before the row commits: a rollback leaves an orphan, which harms nobody.
        await files.store(payment.evidence, report.upload.content)
    await _judge(
        tx,
        reporting,
        payment,
        "accepted",
        channel=payment.channel,
        has_file=payment.evidence is not None,
        has_bank_reference=payment.bank_reference_key is not None,
        invoice_currency=invoice.currency,
        invoice_status=invoice.status.value,
    )
    audit_trail.record(tx, payment.customer_id, "report", payment.id, amount=str(payment.amount))
    tx.publish(PaymentReported(**_fact_of(payment), reported_at=payment.reported_at))
    return payment


async def approve_payment(tx: Transaction, payment_id: UUID, *, by: str) -> Payment:
    """The money is there; raises NoSuchPayment, OwnEntry, IllegalMove."""
    invoice, payment = await _locked(tx, payment_id)
    approved_before = await _approved(tx, invoice)
    payment.approve(by=by, now=tx.now)
    await payments.save(tx, payment)
    reached = coverage(invoice, approved_before, payment.amount)
    await credits.credit(tx, payment, CreditKind.OVERPAYMENT, reached.surplus)
    await _tell_audit(tx, payment, "approved", reached)
    if reached.covered and invoice.status is InvoiceStatus.ISSUED:
        await _settle(tx, invoice)
    await _close_if_over(tx, invoice)
    return payment


async def reject_payment(tx: Transaction, payment_id: UUID, *, reason: str, by: str) -> Payment:
    """The money is not there, or not this; raises NoSuchPayment, OwnEntry, IllegalMove."""
    invoice, payment = await _locked(tx, payment_id)
    payment.reject(reason, by=by, now=tx.now)
    await payments.save(tx, payment)
    reached = coverage(invoice, await _approved(tx, invoice), Money(0, invoice.currency))
    await _tell_audit(tx, payment, "rejected", reached)
    await _close_if_over(tx, invoice)
    return payment


async def _check_served(tx: Transaction, invoice: Invoice) -> None:
    """An invoice kept open for a payment in audit takes no further ones after the end."""
    ending = await endings.find(tx, invoice.contract_id)
    if ending is not None and ending.is_after(invoice.period_index):
        raise NotPayable("The service has ended.", agreement_version=invoice.agreement_version)


async def _locked(tx: Transaction, payment_id: UUID) -> tuple[Invoice, Payment]:
    """The invoice is locked first, so that audits of its payments see each other's outcome."""
    invoice_id = (await payments.get(tx, payment_id, only_customer=None)).invoice_id
    invoice = await invoices.get_for_update(tx, invoice_id, only_customer=None)
    return invoice, await payments.get_for_update(tx, payment_id, only_customer=None)


async def _approved(tx: Transaction, invoice: Invoice) -> Money:
    found = await payments.of_invoice(tx, invoice.id)
    return total((each.amount for each in found if each.status is PaymentStatus.APPROVED), invoice.currency)


async def _settle(tx: Transaction, invoice: Invoice) -> None:
    invoice.settle(now=tx.now)
    await invoices.save(tx, invoice)
    audit_trail.record(tx, invoice.customer_id, "settle", invoice.id)
    tx.publish(
        InvoiceSettled(
            customer_id=invoice.customer_id,
            invoice_id=invoice.id,
            contract_id=invoice.contract_id,
            period_index=invoice.period_index,
            number=str(invoice.issued_document.number),
            settled_at=tx.now,
        )
    )


async def _close_if_over(tx: Transaction, invoice: Invoice) -> None:
    ending = await endings.find(tx, invoice.contract_id)
    if ending is not None:
        await close_if_over(tx, invoice, ending)


async def _tell_audit(
    tx: Transaction, payment: Payment, verdict: Literal["approved", "rejected"], reached: Coverage
) -> None:
    await _judge(
        tx,
        auditing,
        payment,
        verdict,
        found=payment.status.value,
        own_entry=payment.audited_by == payment.recorded_by,
        invoice_covered=reached.covered,
        outstanding_minor=reached.outstanding.minor,
        surplus_minor=reached.surplus.minor,
    )
    audit_trail.record(tx, payment.customer_id, f"audit-{verdict}", payment.id, amount=str(payment.amount))
    tx.publish(
        PaymentAudited(
            **_fact_of(payment),
            verdict=verdict,
            invoice_covered=reached.covered,
            outstanding=Amount.of(reached.outstanding),
            reported_at=payment.reported_at,
            audited_at=tx.now,
        )
    )


async def _judge(tx: Transaction, judgement: Judgement, payment: Payment, happened: str, **facts: Any) -> None:
    await decisions.judge(
        tx,
        judgement,
        subject_id=payment.id,
        customer_id=payment.customer_id,
        agreement_version=payment.agreement_version,
        parameters={"written_channels": sorted(house_of(tx).written_channels)},
        facts={
            "invoice_id": str(payment.invoice_id),
            "amount_minor": payment.amount.minor,
            "currency": payment.amount.currency,
            **facts,
        },
        happened=happened,
    )


def _payment(tx: Transaction, report: Report, invoice: Invoice, by: str) -> Payment:
    version = invoice.agreement_version
    return Payment(
        id=new_id(),
        invoice_id=invoice.id,
        customer_id=invoice.customer_id,
        contract_id=invoice.contract_id,
        period_index=invoice.period_index,
        agreement_version=version,
        amount=report.amount,
        bank_reference=report.bank_reference,
        paid_on=report.paid_on,
        channel=report.channel,
        evidence=evidence_of(report.upload, agreement_version=version) if report.upload else None,
        recorded_by=by,
        reported_at=tx.now,
    )


def _fact_of(payment: Payment) -> dict[str, Any]:
    return {
        "customer_id": payment.customer_id,
        "payment_id": payment.id,
        "invoice_id": payment.invoice_id,
        "contract_id": payment.contract_id,
        "period_index": payment.period_index,
        "amount": Amount.of(payment.amount),
    }
