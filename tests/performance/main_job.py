"""The main job played by many customers at once over HTTP: accept, invoice, pay, audit, register."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from shared.kit.auth import Role
from tests.performance.load import request
from tests.system.installation import Installation

AT_ONCE = 16
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 120.0
BOUNDARY = "bench"
BUSY = {409, 503}
"""Asked again with the same key, as a client does."""
TRIES = 20
PAUSE_SECONDS = 0.2
Rows = Callable[[str, str], Awaitable[Sequence[Sequence[Any]]]]
"""Reads a service's database: its name, and a SELECT."""


@dataclass
class Contract:
    """A drafted contract on its way; the events are set when the database shows it."""

    id: UUID
    invoiced: asyncio.Event = field(default_factory=asyncio.Event)
    registered: asyncio.Event = field(default_factory=asyncio.Event)
    invoice: tuple[str, int] = ("", 0)


class Customers:
    """Everybody who acts, signed in at an installation."""

    def __init__(self, company: Installation, rows: Rows) -> None:
        self._rows = rows
        self._hosts = {name: _port(_address(company, name)) for name in ("contracts", "billing")}
        self._lines: dict[int, asyncio.Queue[_Line]] = {}
        with httpx.Client(base_url=company.url, timeout=20) as http:
            form = {"grant_type": "client_credentials"}

            def token(role: Role, subject: str) -> str:
                answer = http.post("/dev-issuer/token", data={**form, "role": role.value, "subject": subject})
                return str(answer.raise_for_status().json()["access_token"])

            self._support, self._clerk = token(Role.SUPPORT, "support"), token(Role.FINANCE, "clerk")
            self._auditor = token(Role.FINANCE, "auditor")
            agreement = (
                http.get("/contracts/v1/agreements/current", params={"language": "en"}).raise_for_status().json()
            )
        self._word = {
            "agreement_version": agreement["version"],
            "language": "en",
            "text_sha256": agreement["sha256"],
            "channel": "portal",
        }

    async def draft(self, count: int) -> list[Contract]:
        """New customers, each with a server, a billing profile and a drafted contract."""
        return await _side_by_side([self._draft() for _ in range(count)])

    async def buy(self, contracts: Sequence[Contract]) -> None:
        """From each acceptance to the registered service; returns when all are registered."""
        watching = asyncio.create_task(self._watch({contract.id: contract for contract in contracts}))
        try:
            await asyncio.wait_for(_side_by_side([self._buy(contract) for contract in contracts]), PATIENCE_SECONDS)
        finally:
            watching.cancel()

    async def _draft(self) -> Contract:
        customer = str(uuid4())
        body: dict[str, Any] = {"name": "Harbour Books", "language": "en", "zone": "UTC", "channel": "portal"}
        await self._send("contracts", "POST", "customers", self._support, {**body, "customer_id": customer})
        body = {"name": "shop-1", "operating_system": "Debian 12", "channel": "portal"}
        server = await self._send("contracts", "POST", f"customers/{customer}/servers", self._support, body)
        address = {"lines": ["Speicherstadt 7"], "city": "Hamburg", "postal_code": "20457", "country": "DE"}
        body = {"legal_name": "Harbour Books", "address": address, "channel": "portal"}
        await self._send("billing", "PUT", f"customers/{customer}/billing-profile", self._support, body)
        body = {"customer_id": customer, "plan_code": "care-monthly-eur", "server_ids": [server["id"]]}
        drafted = await self._send("contracts", "POST", "contracts", self._support, {**body, "channel": "portal"})
        return Contract(UUID(drafted["id"]))

    async def _buy(self, contract: Contract) -> None:
        await self._send("contracts", "POST", f"contracts/{contract.id}/accept", self._support, self._word)
        await contract.invoiced.wait()
        invoice_id, total = contract.invoice
        form = {"invoice_id": invoice_id, "amount_minor": str(total), "currency": "EUR", "channel": "portal"}
        form["bank_reference"] = uuid4().hex
        payment = await self._send("billing", "POST", "payments", self._clerk, form=form)
        await self._send("billing", "POST", f"payments/{payment['id']}/approve", self._auditor)
        await contract.registered.wait()

    async def _watch(self, waiting: Mapping[UUID, Contract]) -> None:
        """One look for all, so that waiting costs the services nothing."""
        while True:
            for contract_id, invoice_id, total in await self._rows(
                "billing", "SELECT contract_id, id, total_minor FROM invoices WHERE status = 'issued'"
            ):
                contract = waiting.get(_uuid(contract_id))
                if contract is not None:
                    contract.invoice = str(_uuid(invoice_id)), total
                    contract.invoiced.set()
            for (contract_id,) in await self._rows("contracts", "SELECT id FROM contracts WHERE status = 'active'"):
                if (contract := waiting.get(_uuid(contract_id))) is not None:
                    contract.registered.set()
            await asyncio.sleep(LOOK_SECONDS)

    async def _send(
        self,
        service: str,
        method: str,
        path: str,
        token: str,
        body: Mapping[str, Any] | None = None,
        *,
        form: Mapping[str, str] | None = None,
    ) -> Any:
        headers = {"idempotency_key": uuid4().hex} if method == "POST" else {}
        content = json.dumps(body).encode() if body is not None else b""
        if form is not None:
            parts = [
                f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                for name, value in form.items()
            ]
            content = "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode()
            headers["content_type"] = f"multipart/form-data; boundary={BOUNDARY}"
        asked = request(method, f"/{service}/v1/{path}", token=token, body=content, **headers)
        for _ in range(TRIES):
            status, answer = await self._ask(self._hosts[service], asked)
            if status not in BUSY:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path}: {status} {answer[:500]!r}")
        return json.loads(answer)

    async def _ask(self, port: int, asked: bytes) -> tuple[int, bytes]:
        free = self._lines.setdefault(port, asyncio.Queue())
        line = free.get_nowait() if not free.empty() else await _Line.open(port)
        answer = await line.ask(asked)
        free.put_nowait(line)
        return answer


@dataclass
class _Line:
    """One kept connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> _Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, asked: bytes) -> tuple[int, bytes]:
        self.writer.write(asked)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        return int(head[9:12]), await self.reader.readexactly(length)


async def _side_by_side(works: Sequence[Awaitable[Any]]) -> list[Any]:
    """At most AT_ONCE of them at a time."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(work: Awaitable[Any]) -> Any:
        async with free:
            return await work

    return await asyncio.gather(*(one(work) for work in works))


def rows_on_postgres(connections: Mapping[str, asyncpg.Connection]) -> Rows:
    async def rows(service: str, query: str) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = await connections[service].fetch(query)
        return found

    return rows


def rows_on_sqlite(folder: Path) -> Rows:
    async def rows(service: str, query: str) -> Sequence[Sequence[Any]]:
        with closing(sqlite3.connect(f"file:{folder}/{service}.db?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    return rows


def _address(company: Installation, service: str) -> str:
    """Where the service's API listens: past the front, where there is one."""
    process = company.processes.get(f"api-{service}")
    own = process.environment if process else None
    return own[f"MAINSTAY_{service.upper()}_URL"] if own else company.url


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)
