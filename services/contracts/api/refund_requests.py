"""Requests for a refund of a period's full payment (6.2)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field, model_validator

from services.contracts.api.contracts import InWriting
from services.contracts.api.customers import READERS, WRITERS
from services.contracts.db import refund_requests
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.decision_table import AlreadyRefunded, NotRegistered, RefundWindowClosed
from services.contracts.domain.incident import NoSuchIncident
from services.contracts.domain.refund_request import (
    Ground,
    NoCompanyDefect,
    NoSuchRefundRequest,
    PaymentIsCredit,
    PeriodNotPaid,
    RefundStatus,
)
from services.contracts.use_cases import refunds as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.fields import Body, Line, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="refund requests")


class RequestRefund(Body):
    """`incident_id`: the incident that the company answers for, with the ground `company-defect` only."""

    period_index: Annotated[int, Field(strict=True, ge=1, le=10_000)]
    ground: Ground
    incident_id: UUID | None = None
    channel: Line

    @model_validator(mode="after")
    def _names_an_incident_with_a_defect(self) -> RequestRefund:
        if (self.ground is Ground.COMPANY_DEFECT) != (self.incident_id is not None):
            raise ValueError("incident_id is given with the ground company-defect, and with no other")
        return self


class RefundRequestView(View):
    """`withdrawing`: taken back, unless it turns out that the refund had been released by then."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    period_index: int
    agreement_version: str
    ground: Ground
    incident_id: UUID | None
    status: RefundStatus
    requested_at: datetime
    taken_back_at: datetime | None
    answered_at: datetime | None
    decline_reason: str | None
    credit_note_number: str | None


@router.post(
    "/contracts/{contract_id}/refund-requests",
    callers=WRITERS,
    status_code=201,
    refusals=[
        NoSuchContract,
        OralRequest,
        NotRegistered,
        PeriodNotPaid,
        AlreadyRefunded,
        PaymentIsCredit,
        NoSuchIncident,
        NoCompanyDefect,
        RefundWindowClosed,
        StaleWrite,
    ],
)
async def request_refund(contract_id: UUID, body: RequestRefund, tx: Tx, caller: CallerIn) -> RefundRequestView:
    """Ask in writing for the full payment of a period back; the service ends when finance releases it."""
    request = await stories.request_refund(
        tx,
        contract_id,
        only_customer=caller.only_customer,
        period_index=body.period_index,
        ground=body.ground,
        incident_id=body.incident_id,
        channel=body.channel,
    )
    return RefundRequestView.model_validate(request)


@router.get("/refund-requests", callers=READERS)
async def list_refund_requests(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[RefundStatus | None, Query()] = None,
) -> Page[RefundRequestView]:
    """Requests the caller may see, oldest first."""
    found = await refund_requests.page(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, RefundRequestView.model_validate, lambda request: request.id)


@router.get("/refund-requests/{refund_id}", callers=READERS, refusals=[NoSuchRefundRequest])
async def read_refund_request(refund_id: UUID, reader: Read, caller: CallerIn) -> RefundRequestView:
    """One request, and what became of it."""
    request = await refund_requests.get(reader, refund_id, only_customer=caller.only_customer)
    return RefundRequestView.model_validate(request)


@router.post(
    "/refund-requests/{refund_id}/withdraw",
    callers=WRITERS,
    refusals=[NoSuchRefundRequest, OralRequest, IllegalMove, StaleWrite],
)
async def withdraw_refund_request(refund_id: UUID, body: InWriting, tx: Tx, caller: CallerIn) -> RefundRequestView:
    """Take the request back before the refund is released; the service goes on."""
    request = await stories.take_back(tx, refund_id, only_customer=caller.only_customer, channel=body.channel)
    return RefundRequestView.model_validate(request)
