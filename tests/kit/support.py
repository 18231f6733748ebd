"""A throw-away service with one table, so that the kit is tried as a service uses it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import FastAPI, File, Form, UploadFile
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from shared.kernel import errors
from shared.kernel.ids import new_id
from shared.kernel.judgement import Judgements
from shared.kit import audit_trail, decisions, migrations
from shared.kit.app import service_app
from shared.kit.auth import ANYONE, Role
from shared.kit.bus.handlers import Handlers
from shared.kit.db import Database, Instant, Reader, Transaction, json_type
from shared.kit.fields import AmountIn, AmountOut, Body, Code, Flag, Line, Paragraph, Sha256, View, When, Whole
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, CommandIn, HouseRouter, Read, RuntimeIn, Tx
from shared.kit.rulebook import Rulebook
from shared.kit.runtime import Runtime, development_issuer, embedded_authenticator, open_runtime
from shared.kit.schedule import Timers
from shared.kit.settings import CommonSettings, ServiceSettings
from shared.kit.tables import NAMING
from tests.infrastructure.postgres import PostgresServer
from tests.support.databases import holds
from tests.support.service import ServiceUnderTest

metadata = sa.MetaData(naming_convention=NAMING)

shelves = sa.Table("shelves", metadata, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False))
parcels = sa.Table(
    "parcels",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("label", sa.String(200), nullable=False, unique=True),
    sa.Column("weight", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("content", json_type()),
    sa.Column("arrived_at", Instant),
    # Checked by the commit itself: how a commit comes to fail.
    sa.Column("shelf_id", sa.Integer, sa.ForeignKey("shelves.id", deferrable=True, initially="DEFERRED")),
    sa.CheckConstraint("weight > 0", name="weighs_something"),
)

ALL_REFUSALS: list[type[errors.Refusal]] = [
    errors.Invalid,
    errors.Unauthenticated,
    errors.Forbidden,
    errors.NotFound,
    errors.Conflict,
    errors.Gone,
    errors.TooLarge,
    errors.WrongMediaType,
    errors.Unavailable,
    errors.IllegalMove,
    errors.StaleWrite,
    errors.NoRoom,
]


class ParcelLost(errors.Conflict):
    """The parcel was lost on the way."""

    clause = "2.1"


class ParcelBody(Body):
    label: Line
    weight: Whole = 1
    shelf_id: Whole | None = None


class EverythingBody(Body):
    line: Line | None = None
    paragraph: Paragraph | None = None
    code: Code | None = None
    sha256: Sha256 | None = None
    whole: Whole | None = None
    flag: Flag | None = None
    when: When | None = None
    amount: AmountIn | None = None


class EverythingView(View):
    line: str | None
    paragraph: str | None
    whole: int | None
    when: Any
    amount: AmountOut | None


class ParcelView(View):
    id: UUID
    label: str
    weight: int


class UploadView(View):
    id: UUID
    size: int


NOTHING_HEARD = Handlers()
router = HouseRouter("/v1/parcels", tag="parcels")


@router.post(
    "/sealed", callers={Role.SUPPORT, Role.CUSTOMER}, refusals=[ParcelLost], status_code=201, confidential=True
)
async def send_sealed_parcel(body: ParcelBody, command: CommandIn, caller: CallerIn) -> ParcelView:
    """Store a parcel whose label is nobody's business."""
    async with command.reading() as reader:
        assert not isinstance(reader, Transaction)
    async with command.transaction() as tx:
        parcel: dict[str, Any] = {
            "id": new_id(),
            "label": f"sealed {new_id()}",
            "weight": body.weight,
            "shelf_id": body.shelf_id,
        }
        await tx.insert(parcels, parcel)
        audit_trail.record(tx, caller.customer_id, "send", parcel["id"])
        if body.label == "lost":
            raise ParcelLost()
    return ParcelView(id=parcel["id"], label=body.label, weight=body.weight)


@router.post("", callers={Role.SUPPORT, Role.CUSTOMER}, refusals=[ParcelLost], status_code=201)
async def send_parcel(body: ParcelBody, tx: Tx, caller: CallerIn) -> ParcelView:
    """Store a parcel and tell the audit trail."""
    parcel_id = new_id()
    parcel = {"id": parcel_id, "label": body.label, "weight": body.weight, "shelf_id": body.shelf_id}
    await tx.insert(parcels, parcel)
    audit_trail.record(tx, caller.customer_id, "send", parcel_id)
    if body.label == "lost":
        raise ParcelLost("It never arrived.", agreement_version="2030-1", last_seen="depot")
    if body.label == "surprise":
        raise RuntimeError("nobody thought of that")
    return ParcelView.model_validate(parcel)


@router.get("", callers={Role.SUPPORT})
async def list_parcels(reader: Read, paging: Paging) -> Page[ParcelView]:
    """Parcels by id."""
    query = sa.select(parcels).order_by(parcels.c.id).limit(paging.limit + 1)
    if paging.after is not None:
        query = query.where(parcels.c.id > paging.after)
    return paging.page(await reader.rows(query), ParcelView.model_validate, lambda row: row.id)


@router.get("/transaction", callers={Role.SUPPORT})
async def what_a_get_is_given(reader: Read) -> dict[str, bool]:
    """Whether a GET holds a transaction."""
    return {"writes": isinstance(reader, Transaction), "reads": isinstance(reader, Reader)}


@router.get("/refusals/{name}", callers=ANYONE, refusals=ALL_REFUSALS)
async def refuse(name: str) -> None:
    """Refuse in the way of that name."""
    raise {kind.__name__: kind for kind in ALL_REFUSALS}[name]()


@router.post("/everything", callers={Role.SUPPORT})
async def take_everything(body: EverythingBody, tx: Tx, runtime: RuntimeIn) -> EverythingView:
    """Take one value of every field type to the database and back."""
    content = body.model_dump(mode="json", exclude_none=True)
    parcel_id = new_id()
    await tx.insert(
        parcels,
        {
            "id": parcel_id,
            "label": body.line or str(parcel_id),
            "content": content,
            "arrived_at": body.when,
            "weight": abs(body.whole or 1) or 1,
        },
    )
    stored = await tx.row(sa.select(parcels).where(parcels.c.id == parcel_id))
    assert stored is not None
    amount = AmountOut.of(body.amount.money()) if body.amount else None
    return EverythingView(
        line=stored.label if body.line else None,
        paragraph=stored.content.get("paragraph"),
        whole=body.whole,
        when=stored.arrived_at,
        amount=amount,
    )


@router.post("/upload", callers={Role.SUPPORT}, status_code=201)
async def upload_parcel(
    label: Annotated[str, Form(max_length=100)], file: Annotated[UploadFile, File()], tx: Tx
) -> UploadView:
    """Store a parcel that arrives as a form."""
    content = await file.read()
    parcel_id = new_id()
    await tx.insert(parcels, {"id": parcel_id, "label": label, "weight": max(len(content), 1)})
    return UploadView(id=parcel_id, size=len(content))


@router.post("/turned-down", callers={Role.SUPPORT})
async def turn_down(tx: Tx) -> Response:
    """Answer with a failure without raising it."""
    return JSONResponse({"code": "TurnedDown"}, status_code=409)


@router.put("/{parcel_id}", callers={Role.SUPPORT})
async def replace_parcel(parcel_id: UUID, body: ParcelBody, tx: Tx) -> ParcelView:
    """Store a parcel under a known id."""
    parcel = {"id": parcel_id, "label": body.label, "weight": body.weight}
    await tx.upsert(parcels, parcel, on=["id"], update=["label", "weight"])
    return ParcelView.model_validate(parcel)


class ParcelSettings(ServiceSettings):
    pass


@contextmanager
def fresh_postgres_database(server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that is dropped afterwards."""
    name = f"kit_{uuid.uuid4().hex}"
    server.create_database(name)
    try:
        yield server.url_for(name)
    finally:
        server.drop_database(name)


async def create_tables(database: Database) -> None:
    """Make the throw-away service's tables and the kit's, without migrations, unless they are there."""
    if not await holds(database, "parcels"):
        await database.run_sync(migrations.merged(metadata).create_all)


judgements = Judgements()
"""The rules of the throw-away service; its tests add theirs."""


def open_parcels(url: str, folder: Path, **settings: Any) -> Runtime:
    common = CommonSettings(data_dir=folder, **settings)
    return open_runtime(
        "parcels",
        ParcelSettings(database_url=SecretStr(url)),
        common,
        migrations=folder,
        rules=Rulebook(judgements),
        authenticator=embedded_authenticator(common),
    )


def parcels_app(runtime: Runtime, handlers: Handlers = NOTHING_HEARD) -> FastAPI:
    return service_app(
        runtime,
        title="Parcels",
        description="Throw-away.",
        routers=[router, decisions.router()],
        handlers=handlers,
    )


@asynccontextmanager
async def running_parcels(
    url: str, folder: Path, *, timers: Timers | None = None, handlers: Handlers = NOTHING_HEARD, **settings: Any
) -> AsyncIterator[ServiceUnderTest]:
    """The service with its tables, over a database that is empty or has them."""
    runtime = open_parcels(url, folder, **settings)
    await create_tables(runtime.database)
    service = ServiceUnderTest(
        runtime, parcels_app(runtime, handlers), handlers, timers or Timers(), development_issuer(runtime.common)
    )
    try:
        yield service
    finally:
        await service.close()


async def count(service: ServiceUnderTest | Database, table: sa.Table = parcels) -> int:
    """How many rows are committed."""
    database = service if isinstance(service, Database) else service.runtime.database
    async with database.reading() as reader:
        number: int = await reader.scalar(sa.select(sa.func.count()).select_from(table))
        return number
