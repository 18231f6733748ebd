"""Files of a server that are to be backed up."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Body as RawBody
from fastapi import Header, Query

from services.backup.db import servers
from services.backup.domain.server import NoSuchServer
from services.backup.domain.source_path import LONGEST_PATH_BYTES, NoSuchFile, PathInUse, UnusablePath
from services.backup.gateways.files import MOST_FILES_LISTED
from services.backup.use_cases import files as stories
from shared.kernel.errors import TooLarge, WrongMediaType
from shared.kit.auth import STAFF, Role
from shared.kit.fields import PlainText, View
from shared.kit.routing import CallerIn, HouseRouter, RuntimeIn, Tx, in_time

LARGEST_FILE = 64 * 1024 * 1024
CONTENT_TYPE = "application/octet-stream"

router = HouseRouter("/v1/servers/{server_id}/files", tag="files", max_body_size=LARGEST_FILE)


class StoredFileView(View):
    path: str
    bytes: int
    sha256: str


class ListedFileView(View):
    path: str
    bytes: int


class FilesView(View):
    """In path order; `next_after` is absent on the last page."""

    items: list[ListedFileView]
    next_after: str | None = None


@router.put(
    "/{path:path}",
    callers={Role.CUSTOMER, Role.TECHNICIAN},
    refusals=[NoSuchServer, UnusablePath, PathInUse, TooLarge, WrongMediaType],
)
async def store_file(
    server_id: UUID,
    path: str,
    tx: Tx,
    caller: CallerIn,
    runtime: RuntimeIn,
    content: Annotated[bytes, RawBody(media_type=CONTENT_TYPE, description="the file, at most 64 MiB")] = b"",
    content_type: Annotated[str, Header()] = CONTENT_TYPE,
) -> StoredFileView:
    """Put a file into the server's folder; it is in the next backup, and at once in one that waits for files."""
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise WrongMediaType(f"Send the file as {CONTENT_TYPE}.")
    stored = await stories.store_file(
        tx, runtime.gateways.files, server_id, path, content, only_customer=caller.only_customer
    )
    return StoredFileView.model_validate(stored)


@router.get("", callers=STAFF | {Role.CUSTOMER}, refusals=[NoSuchServer], holds_reader=False)
async def list_files(
    server_id: UUID,
    caller: CallerIn,
    runtime: RuntimeIn,
    limit: Annotated[int, Query(ge=1, le=MOST_FILES_LISTED)] = 50,
    after: Annotated[Annotated[str, PlainText] | None, Query(max_length=LONGEST_PATH_BYTES)] = None,
) -> FilesView:
    """What the server's next backup is going to hold."""
    async with in_time(), runtime.database.reading() as reader:
        server = await servers.get(reader, server_id, only_customer=caller.only_customer)
    found = await runtime.gateways.files.listed(server.id, after=after, limit=limit + 1)
    shown = [ListedFileView.model_validate(each) for each in found[:limit]]
    return FilesView(items=shown, next_after=shown[-1].path if len(found) > limit else None)


@router.delete(
    "/{path:path}",
    callers={Role.CUSTOMER, Role.TECHNICIAN},
    refusals=[NoSuchServer, NoSuchFile, UnusablePath],
    status_code=204,
)
async def remove_file(server_id: UUID, path: str, tx: Tx, caller: CallerIn, runtime: RuntimeIn) -> None:
    """Take a file out of the server's folder; backups that hold it stay."""
    await stories.remove_file(tx, runtime.gateways.files, server_id, path, only_customer=caller.only_customer)
