"""Extensions: special circumstances explained on a contract, granted or refused by staff."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.contracts.api.customers import WRITERS
from services.contracts.db import extensions
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.decision_table import (
    AlreadyDecided,
    AlreadyExplained,
    ExplainedTooLate,
    NothingToExtend,
    NotRegistered,
)
from services.contracts.domain.extension import (
    AlreadyAnswered,
    Extension,
    ExtensionOutOfRange,
    ExtensionStatus,
    NoSuchExtension,
    OwnExplanation,
)
from services.contracts.domain.server import ServerInAnotherContract
from services.contracts.use_cases import extensions as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import StaleWrite
from shared.kit.auth import Role
from shared.kit.fields import Body, Day, Line, Paragraph, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="extensions")

ANSWERING = frozenset({Role.SUPPORT, Role.ADMIN})


class ExplainCircumstances(Body):
    """`until_on` is the last day that the customer would like to be served."""

    reason: Paragraph
    until_on: Day | None = None
    channel: Line


class ApproveExtension(Body):
    """The service goes on to the end of that day in the contract's zone."""

    until_on: Day


class RefuseExtension(Body):
    reason: Paragraph


class ExtensionView(View):
    """`until_on` is the last day that is served, `extended_until` the instant at which it is over."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    period_index: int
    agreement_version: str
    period_ends_at: datetime
    zone: str
    reason: str
    wished_until_on: date | None
    status: ExtensionStatus
    requested_at: datetime
    decided_at: datetime | None
    until_on: date | None
    extended_until: datetime | None
    refusal_reason: str | None

    @classmethod
    def of(cls, extension: Extension) -> ExtensionView:
        return cls.model_validate(extension)


@router.post(
    "/contracts/{contract_id}/extensions",
    callers=WRITERS,
    status_code=201,
    refusals=[
        NoSuchContract,
        OralRequest,
        NotRegistered,
        ExplainedTooLate,
        AlreadyExplained,
        NothingToExtend,
        AlreadyDecided,
        ExtensionOutOfRange,
        StaleWrite,
    ],
)
async def explain_circumstances(
    contract_id: UUID, body: ExplainCircumstances, tx: Tx, caller: CallerIn
) -> ExtensionView:
    """Explain special circumstances in writing before the period ends, for the service to be carried on."""
    extension = await stories.explain_circumstances(
        tx,
        contract_id,
        only_customer=caller.only_customer,
        reason=body.reason,
        until_on=body.until_on,
        channel=body.channel,
    )
    return ExtensionView.of(extension)


@router.get("/extensions", callers=WRITERS)
async def list_extensions(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[ExtensionStatus | None, Query()] = None,
) -> Page[ExtensionView]:
    """Extensions the caller may see, oldest first."""
    found = await extensions.page(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, ExtensionView.of, lambda extension: extension.id)


@router.get("/extensions/{extension_id}", callers=WRITERS, refusals=[NoSuchExtension])
async def read_extension(extension_id: UUID, reader: Read, caller: CallerIn) -> ExtensionView:
    """One extension with its reason and the answer."""
    return ExtensionView.of(await extensions.get(reader, extension_id, only_customer=caller.only_customer))


_ANSWERING = [NoSuchExtension, OwnExplanation, AlreadyAnswered, StaleWrite]


@router.post(
    "/extensions/{extension_id}/approve",
    callers=ANSWERING,
    refusals=[*_ANSWERING, ExtensionOutOfRange, NothingToExtend, AlreadyDecided, ServerInAnotherContract],
)
async def approve_extension(extension_id: UUID, body: ApproveExtension, tx: Tx) -> ExtensionView:
    """Grant what was explained in time, at most as long as the agreement lets it; also after the end of the period."""
    return ExtensionView.of(await stories.approve_extension(tx, extension_id, until_on=body.until_on))


@router.post("/extensions/{extension_id}/refuse", callers=ANSWERING, refusals=_ANSWERING)
async def refuse_extension(extension_id: UUID, body: RefuseExtension, tx: Tx) -> ExtensionView:
    """Refuse with the reason; before the end, other circumstances may be explained."""
    return ExtensionView.of(await stories.refuse_extension(tx, extension_id, reason=body.reason))
