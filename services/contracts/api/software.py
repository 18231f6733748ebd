"""Which software is on a server and under which licence, as its customer declares it (4.1)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Body as RawBody
from fastapi import Query
from pydantic import Field, StringConstraints

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.db import servers, software
from services.contracts.domain.server import NoSuchServer
from services.contracts.domain.software import (
    Component,
    NoSuchSoftwareDeclaration,
    SoftwareDeclaration,
    Source,
    TooMuchSoftware,
    UnknownLicence,
    UnreadableBill,
)
from services.contracts.gateways.bills import LARGEST_BILL
from services.contracts.use_cases import software as stories
from shared.kernel.channels import OralRequest
from shared.kit.fields import Body, Line, PlainText, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="software")
bills = HouseRouter("/v1", tag="software", max_body_size=LARGEST_BILL)

MOST_BY_HAND = 500


class ComponentIn(Body):
    """`licence` is an SPDX expression such as `MIT OR Apache-2.0`; `LicenseRef-…` names one that SPDX does not list."""

    name: Line
    version: Line | None = None
    licence: Line
    purl: (
        Annotated[str, StringConstraints(strict=True, max_length=1000, pattern=r"^pkg:[a-zA-Z]"), PlainText] | None
    ) = None


class DeclareSoftware(Body):
    """All software of the server: it takes the place of what was declared before."""

    software: Annotated[list[ComponentIn], Field(max_length=MOST_BY_HAND)]
    channel: Line


class SoftwareDeclarationView(View):
    """`declaration_index`: from 1 per server; the last one counts alone. `sha256`: of what was sent."""

    id: UUID
    server_id: UUID
    customer_id: UUID
    declaration_index: int
    agreement_version: str
    source: Source
    spec_version: str | None
    sha256: str
    component_count: int
    channel: str
    declared_by: str
    declared_at: datetime

    @classmethod
    def of(cls, declaration: SoftwareDeclaration) -> SoftwareDeclarationView:
        return cls.model_validate(declaration)


class ComponentView(View):
    name: str
    version: str | None
    licence: str
    purl: str | None

    @classmethod
    def of(cls, found: tuple[UUID, Component]) -> ComponentView:
        return cls.model_validate(found[1])


@router.post(
    "/servers/{server_id}/software",
    callers=WRITERS,
    status_code=201,
    refusals=[NoSuchServer, OralRequest, UnknownLicence],
)
async def declare_software(server_id: UUID, body: DeclareSoftware, tx: Tx, caller: CallerIn) -> SoftwareDeclarationView:
    """Declare by hand all software of the server; its copyright and licences are the customer's to answer for."""
    declared = stories.by_hand([Component(**dict(component)) for component in body.software])
    declaration = await stories.declare_software(
        tx, server_id, declared, only_customer=caller.only_customer, channel=body.channel
    )
    return SoftwareDeclarationView.of(declaration)


@bills.post(
    "/servers/{server_id}/software/import",
    callers=WRITERS,
    status_code=201,
    refusals=[NoSuchServer, OralRequest, UnreadableBill, TooMuchSoftware, UnknownLicence],
)
async def import_software(
    server_id: UUID,
    channel: Annotated[Line, Query()],
    tx: Tx,
    caller: CallerIn,
    bill: Annotated[bytes, RawBody(media_type="application/octet-stream", description="the file, at most 4 MiB")] = b"",
) -> SoftwareDeclarationView:
    """Declare all software of the server by a bill of materials: CycloneDX 1.x (JSON, XML) or SPDX 2.x (JSON).

    The format is told by the content. Components that are files are left out. A licence that is named in words becomes
    a `LicenseRef-…`; one that is left open is `NOASSERTION`.
    """
    await servers.get(tx, server_id, only_customer=caller.only_customer)
    declared = await asyncio.to_thread(stories.imported, bill)
    declaration = await stories.declare_software(
        tx, server_id, declared, only_customer=caller.only_customer, channel=channel
    )
    return SoftwareDeclarationView.of(declaration)


@router.get("/servers/{server_id}/software", callers=READERS, refusals=[NoSuchServer])
async def list_software_declarations(
    server_id: UUID, reader: Read, caller: CallerIn, paging: Paging
) -> Page[SoftwareDeclarationView]:
    """What was declared of the server, oldest first."""
    server = await servers.get(reader, server_id, only_customer=caller.only_customer)
    found = await software.page(reader, server.id, after=paging.after, limit=paging.limit)
    return paging.page(found, SoftwareDeclarationView.of, lambda declaration: declaration.id)


@router.get("/software-declarations/{software_declaration_id}", callers=READERS, refusals=[NoSuchSoftwareDeclaration])
async def read_software_declaration(
    software_declaration_id: UUID, reader: Read, caller: CallerIn
) -> SoftwareDeclarationView:
    """One declaration: who declared when, through which channel, and the digest of what was sent."""
    found = await software.get(reader, software_declaration_id, only_customer=caller.only_customer)
    return SoftwareDeclarationView.of(found)


@router.get(
    "/software-declarations/{software_declaration_id}/components",
    callers=READERS,
    refusals=[NoSuchSoftwareDeclaration],
)
async def list_software_components(
    software_declaration_id: UUID, reader: Read, caller: CallerIn, paging: Paging
) -> Page[ComponentView]:
    """The software that a declaration lists."""
    declaration = await software.get(reader, software_declaration_id, only_customer=caller.only_customer)
    found = await software.page_of_components(reader, declaration.id, after=paging.after, limit=paging.limit)
    return paging.page(found, ComponentView.of, lambda one: one[0])
