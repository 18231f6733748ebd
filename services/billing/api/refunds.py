"""/v1/refunds"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.billing.api.invoices import amount_view
from services.billing.db import refunds
from services.billing.domain.refund import (
    DeclineCode,
    Ground,
    NoSuchRefund,
    NothingToRefund,
    OwnPreparation,
    Refund,
    RefundStatus,
)
from services.billing.use_cases import refunds as stories
from shared.kernel.errors import IllegalMove
from shared.kit.auth import Role
from shared.kit.fields import AmountOut, Body, Paragraph, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

READERS = {Role.CUSTOMER, Role.FINANCE, Role.SUPPORT, Role.ADMIN}

router = HouseRouter("/v1/refunds", tag="refunds")


class PrepareRefund(Body):
    """Nothing to say: the full payment is paid back."""


class ReleaseRefund(Body):
    """Nothing to say."""


class DeclineRefund(Body):
    reason: Paragraph


class RefundView(View):
    """`amount` is there once it is prepared; `decline_reason` when finance declined."""

    id: UUID
    invoice_id: UUID
    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    ground: Ground
    incident_id: UUID | None
    status: RefundStatus
    amount: AmountOut | None
    requested_at: datetime
    prepared_by: str | None
    prepared_at: datetime | None
    released_by: str | None
    released_at: datetime | None
    declined_at: datetime | None
    decline_code: DeclineCode | None
    decline_reason: str | None

    @classmethod
    def of(cls, refund: Refund) -> RefundView:
        return cls.model_validate({**vars(refund), "amount": amount_view(refund.amount)})


@router.get("", callers=READERS)
async def list_refunds(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[RefundStatus | None, Query(description="requested, prepared: what waits for finance")] = None,
) -> Page[RefundView]:
    """Refunds, oldest request first."""
    found = await refunds.listed(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, RefundView.of, lambda refund: refund.id)


@router.get("/{refund_id}", callers=READERS, refusals=[NoSuchRefund])
async def read_refund(refund_id: UUID, reader: Read, caller: CallerIn) -> RefundView:
    """One refund."""
    return RefundView.of(await refunds.get(reader, refund_id, only_customer=caller.only_customer))


@router.post("/{refund_id}/prepare", callers={Role.FINANCE}, refusals=[NoSuchRefund, NothingToRefund, IllegalMove])
async def prepare_refund(refund_id: UUID, tx: Tx, caller: CallerIn, body: PrepareRefund | None = None) -> RefundView:
    """Fix the amount, the full payment of the period; somebody else releases it."""
    return RefundView.of(await stories.prepare_refund(tx, refund_id, by=caller.subject))


@router.post(
    "/{refund_id}/release",
    callers={Role.FINANCE},
    refusals=[NoSuchRefund, OwnPreparation, NothingToRefund, IllegalMove],
)
async def release_refund(refund_id: UUID, tx: Tx, caller: CallerIn, body: ReleaseRefund | None = None) -> RefundView:
    """Pay back, with a credit note; never by who prepared it. The service ends with it."""
    return RefundView.of(await stories.release_refund(tx, refund_id, by=caller.subject))


@router.post("/{refund_id}/decline", callers={Role.FINANCE}, refusals=[NoSuchRefund, IllegalMove])
async def decline_refund(refund_id: UUID, body: DeclineRefund, tx: Tx) -> RefundView:
    """Not due, with the reason; the customer reads it."""
    return RefundView.of(await stories.decline_refund(tx, refund_id, reason=body.reason))
