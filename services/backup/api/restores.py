"""Asking for files back, and fetching them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from services.backup.db import restores
from services.backup.domain.protection import DataNoLongerKept
from services.backup.domain.restore import (
    ContentDiscarded,
    NoSuchRestore,
    NothingToRestore,
    NotRestored,
)
from services.backup.domain.run import NoSuchRun
from services.backup.domain.server import NoSuchServer
from services.backup.domain.source_path import LONGEST_PATH_BYTES, UnusablePath
from services.backup.use_cases import restores as stories
from shared.kernel.channels import OralRequest
from shared.kit.auth import STAFF, Role
from shared.kit.fields import Body, Line, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, RuntimeIn, Tx

READERS = STAFF | {Role.CUSTOMER}

router = HouseRouter("/v1/restores", tag="restores")


class RestoreBody(Body):
    """Without `run_id` the newest backup is used."""

    server_id: UUID
    run_id: UUID | None = None
    path: Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_PATH_BYTES)]
    channel: Line


class RestoreView(View):
    """`due_at` is the agreement's target; `within_target` tells whether it was kept."""

    id: UUID
    protection_id: UUID
    run_id: UUID
    server_id: UUID
    path: str
    channel: str
    status: str
    reason: str | None
    requested_at: datetime
    due_at: datetime
    finished_at: datetime | None
    sha256: str | None
    bytes: int | None
    within_target: bool | None


class WholeFile(FileResponse):
    """A file that comes whole: refusals of a Range would be plain text, which no caller of ours expects."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers["accept-ranges"] = "none"
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


@router.post(
    "",
    callers={Role.CUSTOMER, Role.SUPPORT, Role.TECHNICIAN},
    refusals=[NoSuchServer, NoSuchRun, NothingToRestore, DataNoLongerKept, OralRequest, UnusablePath],
    status_code=201,
)
async def request_restore(body: RestoreBody, tx: Tx, caller: CallerIn) -> RestoreView:
    """Ask for one file of a backup; also after the service ended, while the data is kept (clause 2.2)."""
    restore = await stories.ask_for_restore(
        tx,
        server_id=body.server_id,
        run_id=body.run_id,
        path=body.path,
        channel=body.channel,
        only_customer=caller.only_customer,
    )
    return RestoreView.model_validate(restore)


@router.get("", callers=READERS)
async def list_restores(
    reader: Read, caller: CallerIn, paging: Paging, server_id: Annotated[UUID | None, Query()] = None
) -> Page[RestoreView]:
    """Restores the caller may see, oldest first."""
    found = await restores.page(
        reader, only_customer=caller.only_customer, server_id=server_id, after=paging.after, limit=paging.limit
    )
    return paging.page(found, RestoreView.model_validate, lambda each: each.id)


@router.get("/{restore_id}", callers=READERS, refusals=[NoSuchRestore])
async def read_restore(restore_id: UUID, reader: Read, caller: CallerIn) -> RestoreView:
    """One restore: its status, hash and target."""
    return RestoreView.model_validate(await restores.get(reader, restore_id, only_customer=caller.only_customer))


@router.get(
    "/{restore_id}/content",
    callers={Role.CUSTOMER, Role.SUPPORT, Role.TECHNICIAN},
    refusals=[NoSuchRestore, NotRestored, ContentDiscarded],
    response_class=FileResponse,
)
async def read_restored_content(restore_id: UUID, reader: Read, caller: CallerIn, runtime: RuntimeIn) -> FileResponse:
    """The restored file, as an attachment."""
    restore = await restores.get(reader, restore_id, only_customer=caller.only_customer)
    restore.require_content()
    path = runtime.gateways.files.restored(restore.id)
    if not path.exists():
        raise ContentDiscarded()
    return WholeFile(path, media_type="application/octet-stream", filename=restore.filename)
