"""/v1/payments"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import Form, Query, UploadFile
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from services.billing.db import payments
from services.billing.db.evidence_files import EvidenceFiles
from services.billing.domain.evidence import (
    EvidenceAway,
    EvidenceOfWrongType,
    EvidenceTooLarge,
    NoEvidence,
    NoSuchEvidence,
    Upload,
)
from services.billing.domain.invoice import NoSuchInvoice, NotPayable
from services.billing.domain.payment import (
    DuplicateBankReference,
    NoSuchPayment,
    OwnEntry,
    PaidInTheFuture,
    Payment,
    PaymentStatus,
    WrongCurrency,
    reference_key,
)
from services.billing.use_cases import payments as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove
from shared.kernel.money import LARGEST_MINOR, Money
from shared.kit.auth import Role
from shared.kit.fields import EARLIEST, LATEST, AmountOut, Body, Currency, Line, Paragraph, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, RuntimeIn, Tx

CALLERS = {Role.CUSTOMER, Role.FINANCE, Role.SUPPORT}
LARGEST_REPORT_BYTES = 6 * 1024 * 1024
LONGEST_REFERENCE = 200

router = HouseRouter("/v1/payments", tag="payments", max_body_size=LARGEST_REPORT_BYTES)


def _short_when_folded(reference: str) -> str:
    if len(reference_key(reference) or "") > LONGEST_REFERENCE:
        raise ValueError("is too long")
    return reference


def _within_range(digits: str) -> str:
    if int(digits) > LARGEST_MINOR:
        raise ValueError("is out of range")
    return digits


def _a_day(text: str) -> str:
    if not EARLIEST.date() <= date.fromisoformat(text) < LATEST.date():
        raise ValueError("is out of range")
    return text


class ReportForm(Body):
    """multipart/form-data; a file `evidence` or a `bank_reference` is needed, both are welcome."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    invoice_id: UUID
    amount_minor: Annotated[
        str,
        StringConstraints(pattern=r"^[1-9][0-9]{0,15}$"),
        AfterValidator(_within_range),
        Field(description="whole minor units, more than nothing"),
    ]
    currency: Currency
    channel: Line
    bank_reference: Annotated[Line, AfterValidator(_short_when_folded)] | None = None
    paid_on: (
        Annotated[
            str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_a_day), Field(description="a day")
        ]
        | None
    ) = None
    evidence: UploadFile | None = None


class ApproveBody(Body):
    """Nothing to say."""


class RejectBody(Body):
    reason: Paragraph


class EvidenceView(View):
    name: str
    media_type: str
    size_bytes: int
    sha256: str


class PaymentView(View):
    id: UUID
    invoice_id: UUID
    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    status: PaymentStatus
    amount: AmountOut
    bank_reference: str | None
    paid_on: date | None
    channel: str
    evidence: EvidenceView | None
    recorded_by: str
    reported_at: datetime
    audited_by: str | None
    audited_at: datetime | None
    rejection_reason: str | None


@router.post(
    "",
    callers=CALLERS,
    status_code=201,
    refusals=[
        OralRequest,
        NoSuchInvoice,
        NotPayable,
        WrongCurrency,
        NoEvidence,
        PaidInTheFuture,
        EvidenceTooLarge,
        EvidenceOfWrongType,
        EvidenceAway,
        DuplicateBankReference,
    ],
)
async def report_payment(
    form: Annotated[ReportForm, Form(media_type="multipart/form-data")], tx: Tx, caller: CallerIn, runtime: RuntimeIn
) -> PaymentView:
    """Report a payment of an issued invoice, in writing and with evidence; finance audits it."""
    report = stories.Report(
        invoice_id=form.invoice_id,
        amount=Money(int(form.amount_minor), form.currency),
        bank_reference=form.bank_reference,
        paid_on=date.fromisoformat(form.paid_on) if form.paid_on else None,
        channel=form.channel,
        upload=await _upload(form.evidence),
    )
    payment = await stories.report_payment(
        tx, report, only_customer=caller.only_customer, by=caller.subject, files=_files(runtime)
    )
    return _view(payment)


@router.get("", callers=CALLERS)
async def list_payments(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    status: Annotated[PaymentStatus | None, Query(description="reported: what waits for its audit")] = None,
    invoice_id: Annotated[UUID | None, Query()] = None,
) -> Page[PaymentView]:
    """Payments, oldest report first."""
    found = await payments.listed(
        reader,
        only_customer=caller.only_customer,
        status=status,
        invoice_id=invoice_id,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, _view, lambda payment: payment.id)


@router.get("/{payment_id}", callers=CALLERS, refusals=[NoSuchPayment])
async def read_payment(payment_id: UUID, reader: Read, caller: CallerIn) -> PaymentView:
    """One payment."""
    return _view(await payments.get(reader, payment_id, only_customer=caller.only_customer))


@router.get(
    "/{payment_id}/evidence",
    callers=CALLERS,
    refusals=[NoSuchPayment, NoSuchEvidence, EvidenceAway],
    response_class=Response,
    response_model=None,
    responses={200: {"description": "The file", "content": {"application/octet-stream": {}}}},
)
async def read_evidence(payment_id: UUID, reader: Read, caller: CallerIn, runtime: RuntimeIn) -> Response:
    """The evidence as it was uploaded, to be saved and not to be run."""
    payment = await payments.get(reader, payment_id, only_customer=caller.only_customer)
    if payment.evidence is None:
        raise NoSuchEvidence()
    content = await _files(runtime).read(payment.evidence)
    name = payment.evidence.name
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_")
    return Response(
        content,
        media_type=payment.evidence.media_type,
        headers={
            "content-disposition": f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}",
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; sandbox",
            "cache-control": "private, no-store",
        },
    )


@router.post("/{payment_id}/approve", callers={Role.FINANCE}, refusals=[NoSuchPayment, OwnEntry, IllegalMove])
async def approve_payment(payment_id: UUID, tx: Tx, caller: CallerIn, body: ApproveBody | None = None) -> PaymentView:
    """The money has arrived; never by who recorded the payment."""
    return _view(await stories.approve_payment(tx, payment_id, by=caller.subject))


@router.post("/{payment_id}/reject", callers={Role.FINANCE}, refusals=[NoSuchPayment, OwnEntry, IllegalMove])
async def reject_payment(payment_id: UUID, body: RejectBody, tx: Tx, caller: CallerIn) -> PaymentView:
    """The money has not arrived, or not for this; never by who recorded the payment."""
    return _view(await stories.reject_payment(tx, payment_id, reason=body.reason, by=caller.subject))


async def _upload(file: UploadFile | None) -> Upload | None:
    """None also for the empty file field that a browser sends when nothing was chosen."""
    if file is None:
        return None
    content = await file.read()
    if not content and not file.filename:
        return None
    return Upload(name=file.filename or "", declared_type=file.content_type or "", content=content)


def _files(runtime: RuntimeIn) -> EvidenceFiles:
    return EvidenceFiles(runtime.data_dir / "evidence")


def _view(payment: Payment) -> PaymentView:
    return PaymentView(
        id=payment.id,
        invoice_id=payment.invoice_id,
        customer_id=payment.customer_id,
        contract_id=payment.contract_id,
        period_index=payment.period_index,
        agreement_version=payment.agreement_version,
        status=payment.status,
        amount=AmountOut.of(payment.amount),
        bank_reference=payment.bank_reference,
        paid_on=payment.paid_on,
        channel=payment.channel,
        evidence=EvidenceView.model_validate(payment.evidence) if payment.evidence else None,
        recorded_by=payment.recorded_by,
        reported_at=payment.reported_at,
        audited_by=payment.audited_by,
        audited_at=payment.audited_at,
        rejection_reason=payment.rejection_reason,
    )
