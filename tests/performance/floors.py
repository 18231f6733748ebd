"""The least that each path could cost: what a careful engineer writes without the house, for uvicorn to serve."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Customer(BaseModel):
    id: UUID
    name: str
    language: str
    zone: str
    registered_at: datetime


class NewPair(BaseModel):
    name: str
    operating_system: str


class Pair(BaseModel):
    customer_id: UUID
    server_id: UUID


INSERT_CUSTOMER = "INSERT INTO customers (id, name, language, zone, registered_at) VALUES ($1, $2, $3, $4, $5)"
INSERT_SERVER = (
    "INSERT INTO servers (id, customer_id, name, operating_system, registered_at) VALUES ($1, $2, $3, $4, $5)"
)


async def _ok(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


bare = Starlette(routes=[Route("/ok", _ok)])


@asynccontextmanager
async def _pool(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["FLOOR_DATABASE_URL"], min_size=10, max_size=10) as pool:
        app.state.pool = pool
        yield


raw = FastAPI(lifespan=_pool)


@raw.get("/customers/{customer_id}")
async def read_customer(customer_id: UUID) -> Customer:
    query = "SELECT id, name, language, zone, registered_at FROM customers WHERE id = $1"
    return Customer(**await raw.state.pool.fetchrow(query, customer_id))


@raw.put("/pairs")
async def write_pair(body: NewPair) -> Pair:
    customer_id, server_id, now = uuid4(), uuid4(), datetime.now(UTC)
    async with raw.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(INSERT_CUSTOMER, customer_id, body.name, "en", "UTC", now)
        await connection.execute(INSERT_SERVER, server_id, customer_id, body.name, body.operating_system, now)
    return Pair(customer_id=customer_id, server_id=server_id)
