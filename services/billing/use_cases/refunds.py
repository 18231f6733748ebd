"""Refunding the full payment of a period: asked for by contracts, prepared, released by somebody else (clause 6.2)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.billing.db import credit_notes, credits, endings, invoices, numbering, payments, refunds
from services.billing.db.houses import house_of
from services.billing.domain.credit import rest_of
from services.billing.domain.credit_note import CreditNote, credit_note_of
from services.billing.domain.invoice import Invoice
from services.billing.domain.payment import PaymentStatus
from services.billing.domain.refund import DeclineCode, Ground, Refund, declining, is_full_payment, releasing
from services.billing.use_cases.invoices import close_if_over
from shared.events.billing import CreditNoteIssued, RefundDeclined, RefundReleased
from shared.events.contracts import RefundRequested, RefundTakenBack
from shared.events.envelope import Amount
from shared.kernel.ids import new_id
from shared.kernel.judgement import Judgement
from shared.kernel.money import Money, total
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


async def hear_request(tx: Transaction, told: RefundRequested) -> None:
    """Keep the request for finance; one for money that has become credit is declined at once. Raises NoSuchInvoice."""
    invoice = await invoices.of_period_for_update(tx, told.contract_id, told.period_index)
    if await refunds.find(tx, told.refund_id) is not None:
        return
    refund = Refund(
        id=told.refund_id,
        invoice_id=invoice.id,
        customer_id=invoice.customer_id,
        contract_id=invoice.contract_id,
        period_index=invoice.period_index,
        agreement_version=told.agreement_version,
        ground=Ground(told.ground),
        incident_id=told.incident_id,
        currency=invoice.currency,
        requested_at=told.requested_at,
    )
    there = is_full_payment(invoice, await _paid(tx, invoice)) and not await refunds.is_in_force(tx, invoice.id)
    if not there:
        refund.decline(DeclineCode.NOTHING_TO_REFUND, None, by=tx.actor, now=tx.now)
    await refunds.add(tx, refund)
    audit_trail.record(tx, refund.customer_id, "ask-refund", refund.id, period_index=refund.period_index)
    if not there:
        await _tell_decline(tx, refund, found="requested", full=False)


async def hear_taken_back(tx: Transaction, told: RefundTakenBack) -> None:
    """The customer's word counts until the release. Raises NoSuchRefund."""
    invoice, refund = await _locked(tx, told.refund_id)
    if refund.is_open:
        await _decline(tx, invoice, refund, DeclineCode.BY_CUSTOMER, None)


async def prepare_refund(tx: Transaction, refund_id: UUID, *, by: str) -> Refund:
    """Fix what is paid back. Raises NoSuchRefund, NothingToRefund, IllegalMove."""
    invoice, refund = await _locked(tx, refund_id)
    refund.prepare(invoice, await _paid(tx, invoice), by=by, now=tx.now)
    await refunds.save(tx, refund)
    audit_trail.record(tx, refund.customer_id, "prepare-refund", refund.id, amount=str(refund.amount))
    return refund


async def release_refund(tx: Transaction, refund_id: UUID, *, by: str) -> Refund:
    """Pay back and issue the credit note. Raises NoSuchRefund, OwnPreparation, NothingToRefund, IllegalMove."""
    invoice, refund = await _locked(tx, refund_id)
    paid = await _paid(tx, invoice)
    refund.release(invoice, paid, by=by, now=tx.now)
    await refunds.save(tx, refund)
    note = await _issue_credit_note(tx, invoice, refund)
    assert refund.amount is not None
    await _judge(
        tx,
        releasing,
        refund,
        "released",
        own_preparation=refund.released_by == refund.prepared_by,
        amount_minor=refund.amount.minor,
        paid_minor=paid.minor,
        invoice_total_minor=invoice.total.minor,
        credit_note_number=str(note.document.number),
    )
    audit_trail.record(tx, refund.customer_id, "release-refund", refund.id, amount=str(refund.amount))
    tx.publish(
        RefundReleased(
            **_ids(refund),
            credit_note_id=note.id,
            credit_note_number=str(note.document.number),
            amount=Amount.of(refund.amount),
            released_at=tx.now,
        )
    )
    return refund


async def decline_refund(tx: Transaction, refund_id: UUID, *, reason: str) -> Refund:
    """Finance finds that it is not due. Raises NoSuchRefund, IllegalMove."""
    invoice, refund = await _locked(tx, refund_id)
    await _decline(tx, invoice, refund, DeclineCode.BY_FINANCE, reason)
    return refund


async def _locked(tx: Transaction, refund_id: UUID) -> tuple[Invoice, Refund]:
    """The invoice is locked first, as audits do: they and refunds of one invoice see each other's outcome."""
    invoice_id = (await refunds.get(tx, refund_id, only_customer=None)).invoice_id
    invoice = await invoices.get_for_update(tx, invoice_id, only_customer=None)
    return invoice, await refunds.get_for_update(tx, refund_id)


async def _paid(tx: Transaction, invoice: Invoice) -> Money:
    """What approved payments gave for this invoice and has not become credit."""
    approved = [
        payment for payment in await payments.of_invoice(tx, invoice.id) if payment.status is PaymentStatus.APPROVED
    ]
    rests = [rest_of(payment.amount, await credits.of_payment(tx, payment.id)) for payment in approved]
    return total(rests, invoice.currency)


async def _issue_credit_note(tx: Transaction, invoice: Invoice, refund: Refund) -> CreditNote:
    house = house_of(tx)
    on = house.day_of(tx.now)
    number = await numbering.next_in(tx, house.credit_note_series, on.year)
    note = credit_note_of(invoice, id=new_id(), refund_id=refund.id, number=number, now=tx.now, on=on)
    await credit_notes.add(tx, note)
    audit_trail.record(tx, note.customer_id, "issue-credit-note", note.id, number=str(number))
    tx.publish(
        CreditNoteIssued(
            customer_id=note.customer_id,
            credit_note_id=note.id,
            refund_id=refund.id,
            invoice_id=invoice.id,
            contract_id=note.contract_id,
            period_index=note.period_index,
            number=str(number),
            invoice_number=note.invoice_number,
            net=Amount.of(note.fee),
            tax=Amount.of(note.document.tax),
            mailing=Amount.of(note.mailing),
            total=Amount.of(note.total),
            issued_at=tx.now,
        )
    )
    return note


async def _decline(tx: Transaction, invoice: Invoice, refund: Refund, code: DeclineCode, reason: str | None) -> None:
    found = refund.status
    refund.decline(code, reason, by=tx.actor, now=tx.now)
    await refunds.save(tx, refund)
    await _tell_decline(tx, refund, found=found.value, full=is_full_payment(invoice, await _paid(tx, invoice)))
    ending = await endings.find(tx, invoice.contract_id)
    if ending is not None:
        # While it was asked back, the payment of a period that is not served had not become credit.
        await close_if_over(tx, invoice, ending)


async def _tell_decline(tx: Transaction, refund: Refund, *, found: str, full: bool) -> None:
    assert refund.decline_code is not None
    code = refund.decline_code.value
    await _judge(tx, declining, refund, refund.status.value, found=found, code=code, is_full_payment=full)
    audit_trail.record(tx, refund.customer_id, "decline-refund", refund.id, code=code)
    tx.publish(RefundDeclined(**_ids(refund), reason=code, declined_at=tx.now))


async def _judge(tx: Transaction, judgement: Judgement, refund: Refund, happened: str, **facts: Any) -> None:
    await decisions.judge(
        tx,
        judgement,
        subject_id=refund.id,
        customer_id=refund.customer_id,
        agreement_version=refund.agreement_version,
        parameters={},
        facts={
            "invoice_id": str(refund.invoice_id),
            "period_index": refund.period_index,
            "ground": refund.ground.value,
            "currency": refund.currency,
            **facts,
        },
        happened=happened,
    )


def _ids(refund: Refund) -> dict[str, Any]:
    return {
        "customer_id": refund.customer_id,
        "refund_id": refund.id,
        "invoice_id": refund.invoice_id,
        "contract_id": refund.contract_id,
        "period_index": refund.period_index,
    }
