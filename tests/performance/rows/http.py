"""One request at a time through our edge, beside the same request through bare Starlette or raw asyncpg."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import cycle, repeat
from pathlib import Path
from uuid import UUID, uuid4

from shared.kit.auth import Role
from tests.performance.figures import Aim, Figure, paired, ratio
from tests.performance.load import Load, request
from tests.performance.rows import row
from tests.performance.stage import Listening, Stage, execute

BENCH = "/contracts/v1/bench"
PAIR = json.dumps({"name": "shop-1", "operating_system": "Debian 12"}).encode()
SERVER = json.dumps({"name": "shop-1", "operating_system": "Debian 12", "channel": "portal"}).encode()
CUSTOMERS = [UUID(int=number) for number in range(1, 65)]
INSERT_CUSTOMER = (
    "INSERT INTO customers (id, name, language, zone, registered_at) "
    "VALUES ('{}', 'Harbour Books', 'en', 'UTC', now()) ON CONFLICT DO NOTHING"
)
ROWS_OF_SAFE_WRITE = 5
"""The key with its answer, the server, the stream, the event and the audit row."""
BARE = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, row TEXT)",
)


@row("edge")
async def edge(stage: Stage) -> AsyncIterator[Figure]:
    """Our application with all its middleware and no database, by CPU; floor: bare Starlette."""
    pairs = await paired(
        _gets(stage, stage.contracts, f"{BENCH}/ok"), _gets(stage, stage.floor("bare"), "/ok"), pairs=stage.pairs
    )
    yield ratio("no database / bare Starlette", pairs, "CPU µs", inverse=True, aim=Aim(0.35, 0.45))


@row("auth")
async def auth(stage: Stage) -> AsyncIterator[Figure]:
    """The same route for customers only, with a bearer token, by CPU; floor: our own anonymous route."""
    ours = _gets(stage, stage.contracts, f"{BENCH}/ok-for-customers", stage.token(Role.CUSTOMER, uuid4()))
    pairs = await paired(ours, _gets(stage, stage.contracts, f"{BENCH}/ok"), pairs=stage.pairs)
    yield ratio("authenticated / anonymous", pairs, "CPU µs", inverse=True, aim=Aim(0.60, 0.80))


@row("read")
async def read(stage: Stage) -> AsyncIterator[Figure]:
    """GET /contracts/v1/customers/{id} as that customer, by CPU; floor: FastAPI and asyncpg reading the same row."""
    await _add_customers(stage)
    customer = CUSTOMERS[0]
    ours = _gets(stage, stage.contracts, f"/contracts/v1/customers/{customer}", stage.token(Role.CUSTOMER, customer))
    pairs = await paired(ours, _gets(stage, stage.raw, f"/customers/{customer}"), pairs=stage.pairs)
    yield ratio("read by id / raw asyncpg", pairs, "CPU µs", inverse=True, aim=Aim(0.35, 0.60))


@row("write")
async def write(stage: Stage) -> AsyncIterator[Figure]:
    """Two rows in one transaction, authenticated, by throughput; floor: the same INSERTs by FastAPI and asyncpg."""
    ours = request("PUT", f"{BENCH}/pairs", token=stage.token(Role.CUSTOMER, uuid4()), body=PAIR)
    pairs = await paired(
        Load(stage.contracts, lambda: repeat(ours), stage.slice_seconds), _raw_writes(stage), pairs=stage.pairs
    )
    yield ratio("two-table write / raw asyncpg", pairs, "per second", aim=Aim(0.45, 0.70))


@row("safe-write")
async def safe_write(stage: Stage) -> AsyncIterator[Figure]:
    """POST …/servers: key, domain, row, event and audit in one transaction, by throughput; floor: raw two rows."""
    await _add_customers(stage)
    pairs = await paired(_safe_writes(stage, stage.contracts, CUSTOMERS), _raw_writes(stage), pairs=stage.pairs)
    yield ratio("safe write / raw two-table write", pairs, "per second", aim=Aim(0.40, 0.55))


@row("busy-customer")
async def busy_customer(stage: Stage) -> AsyncIterator[Figure]:
    """The safe write, all for one customer, by throughput; floor: the same spread over 64 customers."""
    await _add_customers(stage)
    one = _safe_writes(stage, stage.contracts, CUSTOMERS[:1])
    pairs = await paired(one, _safe_writes(stage, stage.contracts, CUSTOMERS), pairs=stage.pairs)
    yield ratio("one busy customer / 64 customers", pairs, "per second", aim=Aim(0.90, 1.0))


@row("sqlite")
async def sqlite(stage: Stage) -> AsyncIterator[Figure]:
    """The safe write over HTTP on SQLite, by throughput; floor: a bare sqlite3 loop, as many rows, no HTTP."""
    file = stage.folder / "contracts.db"
    server = stage.api("ours-sqlite", f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection, connection:
        insert = "INSERT INTO customers (id, name, language, zone, registered_at) VALUES (?, 'Harbour', 'en', 'UTC', 0)"
        connection.executemany(insert, [(customer.hex,) for customer in CUSTOMERS])
    floor = partial(asyncio.to_thread, _bare_loop, stage.folder / "floor.db", stage.slice_seconds)
    pairs = await paired(_safe_writes(stage, server, CUSTOMERS), floor, pairs=stage.pairs)
    yield ratio("safe write on SQLite / bare loop", pairs, "per second", aim=Aim(0.20, 0.35))


async def _add_customers(stage: Stage) -> None:
    assert stage.contracts  # which makes the tables
    await execute(stage.contracts_url, *(INSERT_CUSTOMER.format(customer) for customer in CUSTOMERS))


def _gets(stage: Stage, server: Listening, path: str, token: str | None = None) -> Load:
    asked = request("GET", path, token=token)
    return Load(server, lambda: repeat(asked), stage.slice_seconds)


def _raw_writes(stage: Stage) -> Load:
    assert stage.contracts  # which makes the tables
    asked = request("PUT", "/pairs", body=PAIR)
    return Load(stage.raw, lambda: repeat(asked), stage.slice_seconds)


def _safe_writes(stage: Stage, server: Listening, customers: Sequence[UUID]) -> Load:
    """Each request with a fresh key, the customers in turn."""
    tokens = {customer: stage.token(Role.CUSTOMER, customer) for customer in customers}
    asked = [
        request(
            "POST", f"/contracts/v1/customers/{customer}/servers", token=token, body=SERVER, idempotency_key="{key}"
        )
        for customer, token in tokens.items()
    ]

    def requests() -> Iterator[bytes]:
        for one in cycle(asked):
            yield one.replace(b"{key}", uuid4().hex.encode())

    return Load(server, requests, stage.slice_seconds)


def _bare_loop(file: Path, seconds: float) -> dict[str, float]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in BARE:
            connection.execute(statement)
        row, commits, began = "x" * 200, 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            connection.execute("BEGIN IMMEDIATE")
            for _ in range(ROWS_OF_SAFE_WRITE):
                connection.execute("INSERT INTO bare (row) VALUES (?)", (row,))
            connection.execute("COMMIT")
            commits += 1
        return {"per second": commits / (time.perf_counter() - began)}
