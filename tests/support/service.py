"""One service in this process, with a real database, its real HTTP edge, and its neighbours played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import sqlalchemy as sa
from fastapi import FastAPI
from prometheus_client import generate_latest

from shared.events.contracts import ServerRegistered
from shared.events.envelope import Envelope, Fact
from shared.events.registry import PARTNER_TOPIC_PREFIX, fact_of
from shared.kernel.ids import new_id
from shared.kernel.judgement import Outcome
from shared.kit import migrations, virtual_clock
from shared.kit.auth import DevelopmentIssuer, Role
from shared.kit.bus import tables as bus_tables
from shared.kit.bus.handlers import Handlers
from shared.kit.runtime import Runtime, development_issuer
from shared.kit.schedule import Timers
from shared.kit.tables import audit_rows, decisions
from shared.kit.timer_runner import TimerRunner
from tests.infrastructure import canaries
from tests.support.databases import holds


@dataclass
class ServiceUnderTest:
    """Speak to it over HTTP (`as_role`), tell it facts (`tell`), move its time (`advance`), read what it announced."""

    runtime: Runtime
    app: FastAPI
    handlers: Handlers
    timers: Timers
    issuer: DevelopmentIssuer
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    def as_role(
        self,
        role: Role,
        *,
        customer_id: UUID | None = None,
        partner_id: UUID | None = None,
        subject: str | None = None,
    ) -> httpx.AsyncClient:
        """A client signed in with that role; POSTs get a fresh Idempotency-Key unless one is given."""
        token = self.issuer.token(role, customer_id=customer_id, partner_id=partner_id, subject=subject)
        return self._client({"authorization": f"Bearer {token}"})

    def anonymous(self) -> httpx.AsyncClient:
        return self._client({})

    def _client(self, headers: dict[str, str]) -> httpx.AsyncClient:
        async def give_key(request: httpx.Request) -> None:
            if request.method == "POST" and "idempotency-key" not in request.headers:
                request.headers["idempotency-key"] = f"idempotency-of-a-test-{new_id()}"

        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://service",
            headers=headers,
            event_hooks={"request": [give_key]},
        )
        self._clients.append(client)
        return client

    async def tell(self, fact: Fact) -> Envelope:
        """Have the service hear a fact of another service, in a consumer's transaction."""
        async with self.runtime.database.transaction() as tx:
            envelope = Envelope(
                id=new_id(),
                source=f"/{fact.producer}",
                type=fact.type_name(),
                subject=str(fact.aggregate_id()),
                time=tx.now,
                dataschema="",
                aggseq=1,
                aggepoch=1,
                correlationid="test",
                data=fact.model_dump(mode="json"),
            )
            tx.actor = f"event:{envelope.type}"
            tx.causation_id = str(envelope.id)
            tx.correlation_id = "test"
            for handle in self.handlers.handlers_of(envelope):
                await handle(tx, envelope)
        return envelope

    async def announced(self) -> list[Fact]:
        """Facts in the outbox, oldest first (no relay runs here)."""
        facts = []
        for envelope in await self.envelopes():
            fact = fact_of(envelope)
            if fact is not None:
                facts.append(fact)
        return facts

    async def envelopes(self) -> list[Envelope]:
        outbox = bus_tables.outbox
        own = outbox.c.topic.not_like(f"{PARTNER_TOPIC_PREFIX}%")
        async with self.runtime.database.reading() as reader:
            rows = await reader.rows(sa.select(outbox).where(own).order_by(outbox.c.id))
        return [
            Envelope.from_binary([(name, value.encode()) for name, value in row.headers], row.value) for row in rows
        ]

    async def now(self) -> datetime:
        async with self.runtime.database.reading() as reader:
            return reader.now

    async def advance(self, *, to: datetime | None = None, by: timedelta | None = None) -> None:
        """Move the virtual clock and run everything that is due by then, jobs included."""
        async with self.runtime.database.transaction() as tx:
            await virtual_clock.advance(tx, to or tx.now + (by or timedelta()))
        await self.run_due()

    async def run_due(self) -> None:
        """Run due timers and jobs until none is left."""
        runner = TimerRunner(self.runtime, self.timers)
        while await runner.run_due() or runner._jobs:
            while runner._jobs:
                await asyncio.wait(list(runner._jobs.values()))

    async def scalar(self, statement: Any) -> Any:
        async with self.runtime.database.reading() as reader:
            return await reader.scalar(statement)

    async def close(self) -> None:
        """Raises canaries.Told when what others may read holds personal data or a secret.

        Every decision that the test made is judged again, and must come out the same.
        """
        for client in self._clients:
            await client.aclose()
        try:
            await self._insist_on_silence()
            await self._insist_on_same_verdicts()
        finally:
            await self.runtime.close()

    async def _insist_on_silence(self) -> None:
        async with self.runtime.database.reading() as reader:
            for table in (bus_tables.outbox, audit_rows, decisions):
                for row in await reader.rows(sa.select(table)):
                    canaries.insist_on_silence(f"{self.runtime.name}.{table.name}", _content_of(row))
        canaries.insist_on_silence("/metrics", generate_latest())

    async def _insist_on_same_verdicts(self) -> None:
        async for decision in self.runtime.rules.replay_all(self.runtime.database):
            assert decision.replayed.outcome is Outcome.SAME, f"judged otherwise the second time: {decision}"


def _content_of(row: sa.Row[Any]) -> bytes:
    """All of it but a server's name, which is told on purpose: its backup is called by it."""
    values = [bytes(each) if isinstance(each, memoryview) else each for each in row]
    if getattr(row, "topic", None) == ServerRegistered.topic():
        values = [b"" if isinstance(each, bytes) else each for each in values]
    return repr(values).encode()


@asynccontextmanager
async def service_under_test(
    open_runtime: Callable[[], Runtime],
    create_app: Callable[[Runtime], FastAPI],
    handlers: Handlers,
    timers: Timers,
) -> AsyncIterator[ServiceUnderTest]:
    """Hand out the service; its database is migrated unless it was."""
    runtime = open_runtime()
    if not await holds(runtime.database, "alembic_version"):
        await migrations.upgrade(runtime.database, runtime.migrations)
    service = ServiceUnderTest(runtime, create_app(runtime), handlers, timers, development_issuer(runtime.common))
    try:
        yield service
    finally:
        await service.close()
