"""The warranty of a contract's service, and claims (6.1)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import model_validator

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.db import contracts, warranty_claims
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.warranty import (
    CLAUSE,
    AlreadyClaimed,
    NoSuchWarrantyClaim,
    NothingUnderWarranty,
    WarrantyNotOpen,
    WarrantyOver,
)
from services.contracts.domain.work_request import NoSuchWorkRequest
from services.contracts.use_cases import warranty as stories
from services.contracts.use_cases.warranty import ClaimedWork
from shared.kernel.channels import OralRequest
from shared.kernel.errors import StaleWrite
from shared.kit.fields import Body, Code, Line, Paragraph, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="warranty")


class ClaimWarranty(Body):
    """Names the work that was done, or a server and an operation: then it is the newest of that kind."""

    work_request_id: UUID | None = None
    server_id: UUID | None = None
    operation_code: Code | None = None
    note: Paragraph | None = None
    channel: Line

    @model_validator(mode="after")
    def _names_work_or_server_and_operation(self) -> ClaimWarranty:
        by_kind = (self.server_id is not None, self.operation_code is not None)
        if by_kind != ((self.work_request_id is None),) * 2:
            raise ValueError("names either work_request_id, or server_id and operation_code")
        return self


class WarrantyView(View):
    """From `opens_at` up to, and not including, `ends_at`; null while no end is known. `lasts`: days, or until when."""

    contract_id: UUID
    opens_at: datetime
    ends_at: datetime | None
    lasts: str | int
    zone: str
    now: datetime
    open: bool
    clause: str
    agreement_version: str


class WarrantyClaimView(View):
    """`work_request_id` is the free work order."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    period_index: int
    agreement_version: str
    claimed_work_request_id: UUID
    work_request_id: UUID
    claimed_at: datetime


@router.get("/contracts/{contract_id}/warranty", callers=READERS, refusals=[NoSuchContract, NotRegistered])
async def read_warranty(contract_id: UUID, reader: Read, caller: CallerIn) -> WarrantyView:
    """When the warranty opens and ends, and by which clause of which version."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    contract.catch_up(reader.now)
    warranty = await stories.read_warranty(reader, contract)
    return WarrantyView(
        contract_id=contract.id,
        opens_at=warranty.opens_at,
        ends_at=warranty.ends_at,
        lasts=warranty.lasts,
        zone=contract.zone,
        now=reader.now,
        open=warranty.is_open(reader.now),
        clause=CLAUSE,
        agreement_version=contract.agreement_version,
    )


@router.post(
    "/contracts/{contract_id}/warranty-claims",
    callers=WRITERS,
    status_code=201,
    refusals=[
        NoSuchContract,
        OralRequest,
        NotRegistered,
        NoSuchWorkRequest,
        WarrantyNotOpen,
        WarrantyOver,
        NothingUnderWarranty,
        AlreadyClaimed,
        StaleWrite,
    ],
)
async def claim_warranty(contract_id: UUID, body: ClaimWarranty, tx: Tx, caller: CallerIn) -> WarrantyClaimView:
    """Claim the warranty in writing for work that was done; a free work order follows."""
    claimed = ClaimedWork(
        work_request_id=body.work_request_id, server_id=body.server_id, operation_code=body.operation_code
    )
    claim = await stories.claim_warranty(
        tx, contract_id, claimed, only_customer=caller.only_customer, note=body.note, channel=body.channel
    )
    return WarrantyClaimView.model_validate(claim)


@router.get("/warranty-claims", callers=READERS)
async def list_warranty_claims(
    reader: Read, caller: CallerIn, paging: Paging, contract_id: Annotated[UUID | None, Query()] = None
) -> Page[WarrantyClaimView]:
    """Claims the caller may see, oldest first."""
    found = await warranty_claims.page(
        reader, only_customer=caller.only_customer, contract_id=contract_id, after=paging.after, limit=paging.limit
    )
    return paging.page(found, WarrantyClaimView.model_validate, lambda claim: claim.id)


@router.get("/warranty-claims/{claim_id}", callers=READERS, refusals=[NoSuchWarrantyClaim])
async def read_warranty_claim(claim_id: UUID, reader: Read, caller: CallerIn) -> WarrantyClaimView:
    """One claim, with the work order that it opened."""
    claim = await warranty_claims.get(reader, claim_id, only_customer=caller.only_customer)
    return WarrantyClaimView.model_validate(claim)
