"""Remote backup, which a customer applies for (2.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.backup.db import remote_applications
from services.backup.domain.remote_application import (
    AlreadyApplied,
    ApplicationStatus,
    DeclineReason,
    IntervalUnknown,
    NoRemotePlace,
    NoSuchApplication,
    NotServed,
    RemoteApplication,
)
from services.backup.domain.server import NoSuchServer
from services.backup.use_cases import remote_applications as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.auth import STAFF, Role
from shared.kit.fields import Body, Line, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, RuntimeIn, Tx

router = HouseRouter("/v1/remote-applications", tag="remote backup")

APPLICANTS = frozenset({Role.CUSTOMER, Role.SUPPORT})
DECIDERS = frozenset({Role.SUPPORT, Role.TECHNICIAN})


class ApplyForRemote(Body):
    server_id: UUID
    channel: Line


class DeclineRemote(Body):
    reason: DeclineReason


class GiveUpRemote(Body):
    channel: Line


class RemoteApplicationView(View):
    """For the server under the contract that serves it; another contract needs another application."""

    id: UUID
    contract_id: UUID
    server_id: UUID
    customer_id: UUID
    agreement_version: str
    channel: str
    status: ApplicationStatus
    reason: DeclineReason | None
    applied_at: datetime
    decided_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, application: RemoteApplication) -> RemoteApplicationView:
        return cls.model_validate(application)


@router.post("", callers=APPLICANTS, status_code=201, refusals=[NoSuchServer, OralRequest, NotServed, AlreadyApplied])
async def apply_for_remote(body: ApplyForRemote, tx: Tx, caller: CallerIn) -> RemoteApplicationView:
    """Apply in writing for backups of the server to a remote place."""
    application = await stories.apply_for_remote(
        tx, server_id=body.server_id, channel=body.channel, only_customer=caller.only_customer
    )
    return RemoteApplicationView.of(application)


@router.get("", callers=STAFF | {Role.CUSTOMER})
async def list_remote_applications(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    server_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[ApplicationStatus | None, Query(description="applied: what waits for an answer")] = None,
) -> Page[RemoteApplicationView]:
    """Applications the caller may see, oldest first."""
    found = await remote_applications.page(
        reader,
        only_customer=caller.only_customer,
        server_id=server_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, RemoteApplicationView.of, lambda application: application.id)


@router.get("/{application_id}", callers=STAFF | {Role.CUSTOMER}, refusals=[NoSuchApplication])
async def read_remote_application(application_id: UUID, reader: Read, caller: CallerIn) -> RemoteApplicationView:
    """One application."""
    found = await remote_applications.get(reader, application_id, only_customer=caller.only_customer)
    return RemoteApplicationView.of(found)


@router.post(
    "/{application_id}/approve",
    callers=DECIDERS,
    refusals=[NoSuchApplication, NoRemotePlace, NotServed, IntervalUnknown, IllegalMove, StaleWrite],
)
async def approve_remote_application(application_id: UUID, tx: Tx, runtime: RuntimeIn) -> RemoteApplicationView:
    """From now on the server is backed up to the remote place as well, as often as the agreement says."""
    has_place = runtime.gateways.remote is not None
    return RemoteApplicationView.of(await stories.approve_application(tx, application_id, has_place=has_place))


@router.post("/{application_id}/decline", callers=DECIDERS, refusals=[NoSuchApplication, IllegalMove, StaleWrite])
async def decline_remote_application(application_id: UUID, body: DeclineRemote, tx: Tx) -> RemoteApplicationView:
    """Say why not."""
    return RemoteApplicationView.of(await stories.decline_application(tx, application_id, body.reason))


@router.post(
    "/{application_id}/give-up",
    callers=APPLICANTS,
    refusals=[NoSuchApplication, OralRequest, IllegalMove, StaleWrite],
)
async def give_up_remote_application(
    application_id: UUID, body: GiveUpRemote, tx: Tx, caller: CallerIn
) -> RemoteApplicationView:
    """Take it back, or end remote backup: what is there is kept for the agreement's days and then deleted."""
    application = await stories.give_up_application(
        tx, application_id, channel=body.channel, only_customer=caller.only_customer
    )
    return RemoteApplicationView.of(application)
