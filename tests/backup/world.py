"""The backup service with neighbours played by the test, and the facts they tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from services.backup import app, consumers, opening, schedule
from services.backup.gateways import FileStore, Gateways
from services.backup.gateways.fake_restic import FakeRestic
from services.backup.settings import BackupSettings
from shared.events.contracts import (
    ServerRegistered,
    ServiceExpired,
    ServiceExtended,
    ServiceHeld,
    ServiceRefunded,
    ServiceRegistered,
    ServiceRenewed,
)
from shared.events.envelope import Fact
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.runtime import Runtime, embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.support.service import ServiceUnderTest, service_under_test

EVERY_HOURS = 24
RETENTION_DAYS = 30
REMOTELY_EVERY_HOURS = 48


@dataclass
class World:
    """One customer with one contract over one server; `now` is when the test began."""

    service: ServiceUnderTest
    restic: FakeRestic
    now: datetime
    customer_id: UUID = field(default_factory=new_id)
    contract_id: UUID = field(default_factory=new_id)
    server_id: UUID = field(default_factory=new_id)

    @property
    def gateways(self) -> Gateways:
        gateways: Gateways = self.service.runtime.gateways
        return gateways

    @property
    def customer(self) -> httpx.AsyncClient:
        return self.service.as_role(Role.CUSTOMER, customer_id=self.customer_id)

    @property
    def support(self) -> httpx.AsyncClient:
        return self.service.as_role(Role.SUPPORT)

    def server_registered(self) -> ServerRegistered:
        return ServerRegistered(
            customer_id=self.customer_id, server_id=self.server_id, name="web-1", registered_at=self.now
        )

    def service_registered(self, **changes: Any) -> ServiceRegistered:
        values: dict[str, Any] = {
            "customer_id": self.customer_id,
            "contract_id": self.contract_id,
            "agreement_version": "2026-01",
            "period_index": 1,
            "starts_at": self.now,
            "ends_at": self.now + timedelta(days=30),
            "zone": "Europe/Berlin",
            "server_ids": [self.server_id],
            "payment_id": new_id(),
            "local_backup_every_hours": EVERY_HOURS,
            "restore_target_hours": 4,
            "retention_days": RETENTION_DAYS,
            "remote_backup_every_hours": REMOTELY_EVERY_HOURS,
        }
        return ServiceRegistered(**(values | changes))

    def service_renewed(self, period_index: int = 2, **changes: Any) -> ServiceRenewed:
        values: dict[str, Any] = {
            "customer_id": self.customer_id,
            "contract_id": self.contract_id,
            "agreement_version": "2026-02",
            "period_index": period_index,
            "starts_at": self.now + timedelta(days=30),
            "ends_at": self.now + timedelta(days=60),
            "zone": "Europe/Berlin",
            "payment_id": new_id(),
            "local_backup_every_hours": EVERY_HOURS,
            "restore_target_hours": 2,
            "retention_days": RETENTION_DAYS,
            "remote_backup_every_hours": REMOTELY_EVERY_HOURS,
        }
        return ServiceRenewed(**(values | changes))

    def service_held(self, period_index: int = 1) -> ServiceHeld:
        return ServiceHeld(
            customer_id=self.customer_id,
            contract_id=self.contract_id,
            agreement_version="2026-01",
            period_index=period_index,
            ends_at=self.now + timedelta(days=30),
            payment_id=new_id(),
        )

    def service_refunded(
        self, period_index: int = 1, *, last: int = 1, ended_at: datetime | None = None
    ) -> ServiceRefunded:
        return ServiceRefunded(
            customer_id=self.customer_id,
            contract_id=self.contract_id,
            agreement_version="2026-01",
            refund_id=new_id(),
            period_index=period_index,
            refunded_period_index=period_index,
            last_period_index=last,
            ended_at=ended_at or self.now,
            server_ids=[self.server_id],
            retention_days=RETENTION_DAYS,
        )

    def service_extended(self, until: datetime, *, was_ended: bool = False) -> ServiceExtended:
        return ServiceExtended(
            customer_id=self.customer_id,
            contract_id=self.contract_id,
            agreement_version="2026-01",
            extension_id=new_id(),
            period_index=1,
            ends_at=self.now + timedelta(days=30),
            until_on=until.date(),
            extended_until=until,
            zone="Europe/Berlin",
            was_ended=was_ended,
            retention_days=RETENTION_DAYS,
            extended_at=self.now,
        )

    def service_expired(self, period_index: int = 1, *, ended_at: datetime | None = None) -> ServiceExpired:
        return ServiceExpired(
            customer_id=self.customer_id,
            contract_id=self.contract_id,
            agreement_version="2026-01",
            period_index=period_index,
            ended_at=ended_at or self.now + timedelta(days=30),
            reason="not-renewed",
            server_ids=[self.server_id],
            retention_days=RETENTION_DAYS,
        )

    async def put_file(self, path: str = "etc/app.conf", content: bytes = b"colour=blue\n") -> httpx.Response:
        return await self.customer.put(
            f"/v1/servers/{self.server_id}/files/{path}",
            content=content,
            headers={"content-type": "application/octet-stream"},
        )

    async def begin(self, *, files: bool = True) -> None:
        """The server is known, holds a file, and its service is registered; the first slot is taken care of."""
        await self.service.tell(self.server_registered())
        if files:
            assert (await self.put_file()).status_code == 200
        await self.service.tell(self.service_registered())
        await self.service.run_due()

    async def protection(self) -> dict[str, Any]:
        """The contract's newest protection."""
        answer = await self.support.get("/v1/protections", params={"contract_id": str(self.contract_id)})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["items"][-1]
        return found

    async def protections(self) -> list[dict[str, Any]]:
        answer = await self.support.get("/v1/protections", params={"contract_id": str(self.contract_id)})
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def runs(self) -> list[dict[str, Any]]:
        answer = await self.support.get(f"/v1/protections/{(await self.protection())['id']}/runs")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def told(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in await self.service.announced() if isinstance(fact, kind)]

    async def ask_restore(self, **changes: Any) -> httpx.Response:
        body = {"server_id": str(self.server_id), "path": "etc/app.conf", "channel": "portal"} | changes
        return await self.customer.post("/v1/restores", json=body)

    async def apply(self, **changes: Any) -> httpx.Response:
        """For remote backup of the server."""
        body = {"server_id": str(self.server_id), "channel": "portal"} | changes
        return await self.customer.post("/v1/remote-applications", json=body)

    async def answer(self, application_id: str, verb: str, body: dict[str, Any] | None = None) -> httpx.Response:
        by = self.customer if verb == "give-up" else self.support
        return await by.post(f"/v1/remote-applications/{application_id}/{verb}", json=body)

    async def remotely(self) -> str:
        """An application that was approved."""
        application = (await self.apply()).json()["id"]
        approved = await self.answer(application, "approve")
        assert approved.status_code == 200, approved.text
        await self.service.run_due()
        return str(application)

    async def protection_at(self, place: str) -> dict[str, Any] | None:
        """The newest one there."""
        found = [each for each in await self.protections() if each["place"] == place]
        return found[-1] if found else None

    def snapshots(self) -> int:
        return sum(len(kept) for kept in self.restic.repositories.values())


@asynccontextmanager
async def a_world(folder: Path, settings: BackupSettings, *, remote: FakeRestic | None = None) -> AsyncIterator[World]:
    """Its files lie in `folder`; restic is played, and the remote place where there is one."""
    common = CommonSettings(data_dir=folder, clock="virtual")
    restic = FakeRestic()
    gateways = Gateways(FileStore(folder), restic, remote=remote)

    def open_runtime() -> Runtime:
        return opening.open_runtime(
            common, authenticator=embedded_authenticator(common), settings=settings, gateways=gateways
        )

    async with service_under_test(open_runtime, app.create_app, consumers.handlers, schedule.timers) as service:
        yield World(service, restic, await service.now())
