"""Emergencies: reported day and night, acknowledged by technical support, resolved (1.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.db import emergencies
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.emergency import (
    AlreadyAnEmergency,
    Emergency,
    EmergencyStatus,
    NoSuchEmergency,
    NotServed,
    Outcome,
    WorkNotNamed,
)
from services.contracts.domain.work_request import NoSuchWorkRequest, ServerOutsideContract
from services.contracts.use_cases import emergencies as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.auth import Role
from shared.kit.fields import Body, Line, Paragraph, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="emergencies")

ANSWERING = frozenset({Role.TECHNICIAN, Role.SUPPORT})


class ReportEmergency(Body):
    """`seen`: what happens, in the customer's own words."""

    server_id: UUID
    seen: Paragraph
    channel: Line


class ResolveEmergency(Body):
    """`log`: what was done, in words; `work_request_id`: the work that goes on with it, with `work-requested` only."""

    outcome: Outcome
    log: Paragraph
    work_request_id: UUID | None = None


class WithdrawEmergency(Body):
    channel: Line


class EmergencyView(View):
    """`acknowledge_by` is the agreement's time; `escalations`: how often it was passed on for want of an answer."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    period_index: int
    agreement_version: str
    status: EmergencyStatus
    seen: str
    channel: str
    reported_at: datetime
    acknowledge_by: datetime
    escalations: int
    escalated_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    outcome: Outcome | None
    log: str | None
    work_request_id: UUID | None
    ended_at: datetime | None

    @classmethod
    def of(cls, emergency: Emergency) -> EmergencyView:
        return cls.model_validate(emergency)


@router.post(
    "/contracts/{contract_id}/emergencies",
    callers=WRITERS,
    status_code=201,
    refusals=[NoSuchContract, OralRequest, NotServed, ServerOutsideContract, AlreadyAnEmergency],
)
async def report_emergency(contract_id: UUID, body: ReportEmergency, tx: Tx, caller: CallerIn) -> EmergencyView:
    """Call technical support, by day and by night: whoever is on call is paged, and others until somebody answers."""
    emergency = await stories.report_emergency(
        tx,
        contract_id,
        only_customer=caller.only_customer,
        server_id=body.server_id,
        seen=body.seen,
        channel=body.channel,
    )
    return EmergencyView.of(emergency)


@router.get("/emergencies", callers=READERS)
async def list_emergencies(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[EmergencyStatus | None, Query(description="open: what nobody has acknowledged")] = None,
) -> Page[EmergencyView]:
    """Emergencies the caller may see, oldest first."""
    found = await emergencies.page(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, EmergencyView.of, lambda emergency: emergency.id)


@router.get("/emergencies/{emergency_id}", callers=READERS, refusals=[NoSuchEmergency])
async def read_emergency(emergency_id: UUID, reader: Read, caller: CallerIn) -> EmergencyView:
    """One emergency."""
    return EmergencyView.of(await emergencies.get(reader, emergency_id, only_customer=caller.only_customer))


@router.post(
    "/emergencies/{emergency_id}/acknowledge",
    callers=ANSWERING,
    refusals=[NoSuchEmergency, IllegalMove, StaleWrite],
)
async def acknowledge_emergency(emergency_id: UUID, tx: Tx) -> EmergencyView:
    """Take it on: from now on nobody else is called. Of two at once one has it."""
    return EmergencyView.of(await stories.acknowledge_emergency(tx, emergency_id))


@router.post(
    "/emergencies/{emergency_id}/resolve",
    callers=ANSWERING,
    refusals=[NoSuchEmergency, NoSuchWorkRequest, WorkNotNamed, IllegalMove, StaleWrite],
)
async def resolve_emergency(emergency_id: UUID, body: ResolveEmergency, tx: Tx) -> EmergencyView:
    """Say how it ended."""
    emergency = await stories.resolve_emergency(
        tx, emergency_id, outcome=body.outcome, log=body.log, work_request_id=body.work_request_id
    )
    return EmergencyView.of(emergency)


@router.post(
    "/emergencies/{emergency_id}/withdraw",
    callers=WRITERS,
    refusals=[NoSuchEmergency, OralRequest, IllegalMove, StaleWrite],
)
async def withdraw_emergency(emergency_id: UUID, body: WithdrawEmergency, tx: Tx, caller: CallerIn) -> EmergencyView:
    """Call it off in writing."""
    emergency = await stories.withdraw_emergency(
        tx, emergency_id, only_customer=caller.only_customer, channel=body.channel
    )
    return EmergencyView.of(emergency)
