"""Work requests: asked for on a contract, completed or refused by a technician, withdrawn by the customer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.db import work_requests
from services.contracts.domain.catalogue import OutsideCatalogue
from services.contracts.domain.contract import NoSuchContract, NotRegistered
from services.contracts.domain.work_request import (
    NoSuchWorkRequest,
    NothingToRefuse,
    ServerOutsideContract,
    WorkRequest,
    WorkStatus,
)
from services.contracts.use_cases import work_requests as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.auth import Role
from shared.kit.fields import Body, Code, Line, Paragraph, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="work requests")

TECHNICIANS = frozenset({Role.TECHNICIAN})


class RequestWork(Body):
    operation_code: Code
    server_id: UUID
    note: Paragraph | None = None
    channel: Line


class RefuseWork(Body):
    reason: Paragraph


class WithdrawWork(Body):
    channel: Line


class WorkRequestView(View):
    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    operation_code: str
    risk: str
    agreement_version: str
    note: str | None
    status: WorkStatus
    requested_at: datetime
    decided_at: datetime | None
    reason: str | None

    @classmethod
    def of(cls, work: WorkRequest) -> WorkRequestView:
        return cls.model_validate({**vars(work), "risk": work.risk.word})


@router.post(
    "/contracts/{contract_id}/work-requests",
    callers=WRITERS,
    status_code=201,
    refusals=[NoSuchContract, OralRequest, NotRegistered, OutsideCatalogue, ServerOutsideContract],
)
async def request_work(contract_id: UUID, body: RequestWork, tx: Tx, caller: CallerIn) -> WorkRequestView:
    """Ask in writing for an operation that the contract's plan includes."""
    work = await stories.request_work(
        tx,
        contract_id,
        only_customer=caller.only_customer,
        operation_code=body.operation_code,
        server_id=body.server_id,
        note=body.note,
        channel=body.channel,
    )
    return WorkRequestView.of(work)


@router.get("/work-requests", callers=READERS)
async def list_work_requests(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[WorkStatus | None, Query()] = None,
) -> Page[WorkRequestView]:
    """Work requests the caller may see, oldest first."""
    found = await work_requests.page(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, WorkRequestView.of, lambda work: work.id)


@router.get("/work-requests/{work_request_id}", callers=READERS, refusals=[NoSuchWorkRequest])
async def read_work_request(work_request_id: UUID, reader: Read, caller: CallerIn) -> WorkRequestView:
    """One work request."""
    work = await work_requests.get(reader, work_request_id, only_customer=caller.only_customer)
    return WorkRequestView.of(work)


@router.post(
    "/work-requests/{work_request_id}/complete",
    callers=TECHNICIANS,
    refusals=[NoSuchWorkRequest, IllegalMove, StaleWrite],
)
async def complete_work(work_request_id: UUID, tx: Tx) -> WorkRequestView:
    """The work is done."""
    return WorkRequestView.of(await stories.complete_work(tx, work_request_id))


@router.post(
    "/work-requests/{work_request_id}/refuse",
    callers=TECHNICIANS,
    refusals=[NoSuchWorkRequest, NothingToRefuse, IllegalMove, StaleWrite],
)
async def refuse_work(work_request_id: UUID, body: RefuseWork, tx: Tx) -> WorkRequestView:
    """Refuse work whose risk reaches the agreement's threshold, with the reason (1.1); final."""
    return WorkRequestView.of(await stories.refuse_work(tx, work_request_id, reason=body.reason))


@router.post(
    "/work-requests/{work_request_id}/withdraw",
    callers=WRITERS,
    refusals=[NoSuchWorkRequest, OralRequest, IllegalMove, StaleWrite],
)
async def withdraw_work(work_request_id: UUID, body: WithdrawWork, tx: Tx, caller: CallerIn) -> WorkRequestView:
    """Take a request back before it is decided."""
    work = await stories.withdraw_work(tx, work_request_id, only_customer=caller.only_customer, channel=body.channel)
    return WorkRequestView.of(work)
