"""A service in which two customers have one of everything, planted by the stories of the services' own tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import SecretStr

from deploy import services
from services.backup.gateways import FileStore, Gateways
from services.backup.gateways.fake_restic import FakeRestic
from shared.kernel.ids import new_id
from shared.kit import migrations
from shared.kit.auth import Role
from shared.kit.runtime import Runtime, embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.backup.world import World
from tests.billing.refunds import RefundStory
from tests.billing.story import a_contract
from tests.contracts.stories.work import under_way
from tests.contracts.story import HOUR, START
from tests.contracts.story import Story as Contracts
from tests.hostile.operations import Operation, operations_of
from tests.notify.story import Story as Notify
from tests.notify.story import put_contact
from tests.support.service import ServiceUnderTest, service_under_test

WARRANTY_BEGINS = timedelta(days=7)
NOTHING_PARKED = {"event_id": new_id(), "timer_id": new_id()}
"""Ids that only operators use, of what only goes wrong."""


@dataclass
class Planted:
    """`ids` are those of the customer's things, by the name under which routes take them; `others` the other's."""

    name: str
    service: ServiceUnderTest
    ids: dict[str, Any]
    others: dict[str, Any]

    @cached_property
    def operations(self) -> list[Operation]:
        return list(operations_of(self.name, self.service.app.openapi()))

    @property
    def customer_id(self) -> UUID:
        return UUID(str(self.ids["customer_id"]))

    def signed_in(self, role: Role, *, customer_id: UUID | None = None) -> httpx.AsyncClient:
        """A customer is the planted one unless another is named; a partner is the planted one."""
        partner_id = UUID(str(self.ids["partner_id"])) if role is Role.PARTNER and "partner_id" in self.ids else None
        own = (customer_id or self.customer_id) if role is Role.CUSTOMER else None
        return self.service.as_role(role, customer_id=own, partner_id=partner_id, subject=f"hostile-{role}")

    def a_caller_of(self, operation: Operation) -> httpx.AsyncClient:
        """Somebody who may call it, the customer if possible."""
        if not operation.callers:
            return self.service.anonymous()
        role = Role.CUSTOMER if Role.CUSTOMER in operation.callers else min(operation.callers)
        return self.signed_in(role)

    async def rows(self) -> dict[str, int]:
        """How many rows each table holds."""
        async with self.service.runtime.database.reading() as reader:
            found: list[Any] = list(await reader.rows(self._counts))
        return dict(found)

    @cached_property
    def tables(self) -> list[sa.Table]:
        return migrations.merged(import_module(f"services.{self.name}.db.tables").metadata).sorted_tables

    @cached_property
    def _counts(self) -> sa.TextClause:
        each = (f"SELECT '{table.name}', count(*) FROM {table.name}" for table in self.tables)
        return sa.text(" UNION ALL ".join(each))


@asynccontextmanager
async def planted(name: str, folder: Path, database_url: str | None) -> AsyncIterator[Planted]:
    """The service over that database (none: an SQLite file) with its customer's things."""
    restic = FakeRestic()
    async with opened(name, folder, database_url, restic) as service:
        plant = {"contracts": _contracts, "billing": _billing, "notify": _notify}
        both = []
        for _ in range(2):
            ids = await (_backup(service, restic) if name == "backup" else plant[name](service))
            both.append({"decision_id": await _a_decision(service, ids["customer_id"]), **NOTHING_PARKED, **ids})
        yield Planted(name, service, both[0], both[1])


@asynccontextmanager
async def opened(
    name: str, folder: Path, database_url: str | None, restic: FakeRestic | None = None
) -> AsyncIterator[ServiceUnderTest]:
    """The service with nothing in it and without a limit of rate."""
    common = CommonSettings(data_dir=folder, clock="virtual", log_level="error", rate_limit_per_second=0)
    settings = services.settings_of(name)
    if database_url is not None:
        settings = settings.model_copy(update={"database_url": SecretStr(database_url)})

    def open_runtime() -> Runtime:
        opening: Any = import_module(f"services.{name}.opening")
        own = {"gateways": Gateways(FileStore(folder), restic or FakeRestic())} if name == "backup" else {}
        runtime: Runtime = opening.open_runtime(
            common, settings=settings, authenticator=embedded_authenticator(common), **own
        )
        return runtime

    def create_app(runtime: Runtime) -> FastAPI:
        return services.app_of(runtime)

    handlers = import_module(f"services.{name}.consumers").handlers
    timers = import_module(f"services.{name}.schedule").timers
    async with service_under_test(open_runtime, create_app, handlers, timers) as service:
        yield service


async def _a_decision(service: ServiceUnderTest, customer_id: UUID) -> UUID:
    """The customer's newest one; a service that decided nothing has none that could be read."""
    customer = service.as_role(Role.CUSTOMER, customer_id=customer_id)
    items = (await customer.get("/v1/decisions")).json()["items"]
    return UUID(items[-1]["id"]) if items else new_id()


async def _contracts(service: ServiceUnderTest) -> dict[str, Any]:
    story = Contracts(service)
    if await service.now() < START:
        await story.active()
    else:
        await story.accepted()
        await story.pays(1, reported_at=START - HOUR, audited_at=START)
    body = {
        "operation_code": "health-check",
        "server_id": story.server_ids[0],
        "note": "soon",
        "channel": "portal",
    }
    work = await story.http.post(f"/v1/contracts/{story.contract}/work-requests", json=body)
    assert work.status_code == 201, work.text
    assessed = await story.technician.post(f"/v1/work-requests/{work.json()['id']}/assess", json={"rehearsed": False})
    assert assessed.status_code == 200, assessed.text
    body = {"server_id": story.server_ids[0], "happened_at": START.isoformat(), "seen": "nothing", "channel": "portal"}
    incident = await story.http.post(f"/v1/contracts/{story.contract}/incidents", json=body)
    assert incident.status_code == 201, incident.text
    unmet = {"server_id": story.server_ids[0], "unmet": ["free-disk"]}
    path = f"/v1/contracts/{story.contract}/condition-declarations"
    declaration = await story.technician.post(path, json=unmet)
    assert declaration.status_code == 201, declaration.text
    software = {"software": [{"name": "nginx", "licence": "BSD-2-Clause"}], "channel": "portal"}
    declared = await story.http.post(f"/v1/servers/{story.server_ids[0]}/software", json=software)
    assert declared.status_code == 201, declared.text
    called = {"server_id": story.server_ids[0], "seen": "smoke", "channel": "portal"}
    emergency = await story.http.post(f"/v1/contracts/{story.contract}/emergencies", json=called)
    assert emergency.status_code == 201, emergency.text
    body = {"reason": "a flood", "channel": "portal"}
    extension = await story.http.post(f"/v1/contracts/{story.contract}/extensions", json=body)
    assert extension.status_code == 201, extension.text
    secret = {"name": "root", "kind": "password", "value": "opens nothing", "channel": "portal"}
    kept = await story.http.post(f"/v1/servers/{story.server_ids[0]}/secrets", json=secret)
    assert kept.status_code == 201, kept.text
    disclosed = {
        "server_id": story.server_ids[0],
        "kind": "token",
        "disclosed_by": "customer",
        "disclosed_at": START.isoformat(),
        "channel": "portal",
    }
    disclosure = await story.http.post(f"/v1/contracts/{story.contract}/disclosures", json=disclosed)
    assert disclosure.status_code == 201, disclosure.text
    asked = {"period_index": 1, "ground": "dissatisfied", "channel": "portal"}
    refund = await story.http.post(f"/v1/contracts/{story.contract}/refund-requests", json=asked)
    assert refund.status_code == 201, refund.text
    claim_id = await _a_claim(story)
    offered = await story.offered()
    accepted = (await story.http.get(f"/v1/contracts/{story.contract}/acceptances")).json()["items"]
    return {
        "acceptance_id": UUID(accepted[0]["id"]),
        "code": "care-monthly-eur",
        "secret_id": UUID(kept.json()["id"]),
        "disclosure_id": UUID(disclosure.json()["id"]),
        "customer_id": story.customer_id,
        "contract_id": UUID(story.contract),
        "server_id": UUID(story.server_ids[0]),
        "work_request_id": UUID(work.json()["id"]),
        "emergency_id": UUID(emergency.json()["id"]),
        "incident_id": UUID(incident.json()["id"]),
        "declaration_id": UUID(declaration.json()["id"]),
        "software_declaration_id": UUID(declared.json()["id"]),
        "extension_id": UUID(extension.json()["id"]),
        "refund_id": UUID(refund.json()["id"]),
        "claim_id": claim_id,
        "subject_id": UUID(story.contract),
        "version": offered["agreement_version"],
        "number": "3.2",
        "text_sha256": offered["text_sha256"],
    }


async def _a_claim(story: Contracts) -> UUID:
    """Of the warranty, for work that was done, once the warranty has begun."""
    done = await under_way(story)
    assert (await story.technician.post(f"/v1/work-requests/{done}/complete")).status_code == 200
    if await story.service.now() < START + WARRANTY_BEGINS:
        await story.service.advance(to=START + WARRANTY_BEGINS)
    body = {"work_request_id": done, "channel": "portal"}
    claim = await story.http.post(f"/v1/contracts/{story.contract}/warranty-claims", json=body)
    assert claim.status_code == 201, claim.text
    return UUID(claim.json()["id"])


async def _billing(service: ServiceUnderTest) -> dict[str, Any]:
    story = RefundStory(service)
    await story.paid()
    refund = await story.prepared()
    assert (await story.release(refund)).status_code == 200
    [note] = await story.notes()
    invoice = await story.issued(a_contract(customer_id=story.contract.customer_id))
    payment = await story.reported(invoice)
    return {
        "customer_id": UUID(invoice["customer_id"]),
        "contract_id": UUID(invoice["contract_id"]),
        "invoice_id": UUID(invoice["id"]),
        "payment_id": UUID(payment),
        "refund_id": UUID(refund),
        "credit_note_id": UUID(note["id"]),
        "subject_id": UUID(payment),
    }


async def _backup(service: ServiceUnderTest, restic: FakeRestic) -> dict[str, Any]:
    world = World(service, restic, await service.now())
    await world.begin()
    restore = await world.ask_restore()
    assert restore.status_code == 201, restore.text
    application = await world.apply()
    assert application.status_code == 201, application.text
    await service.run_due()
    protection = await world.protection()
    return {
        "customer_id": world.customer_id,
        "contract_id": world.contract_id,
        "server_id": world.server_id,
        "protection_id": UUID(protection["id"]),
        "run_id": UUID((await world.runs())[0]["id"]),
        "restore_id": UUID(restore.json()["id"]),
        "application_id": UUID(application.json()["id"]),
        "subject_id": UUID(protection["id"]),
        "path": "etc/app.conf",
    }


async def _notify(service: ServiceUnderTest) -> dict[str, Any]:
    story = Notify()
    for fact in story.all_facts():
        await service.tell(fact)
    await put_contact(service, story.customer_id)
    partner = (await service.as_role(Role.ADMIN).post("/v1/partners", json={"name": "Alpha Audit"})).json()["id"]
    customer = service.as_role(Role.CUSTOMER, customer_id=story.customer_id)
    body = {"partner_id": partner, "customer_id": str(story.customer_id), "channel": "portal"}
    link = (await customer.post("/v1/partner-links", json=body)).json()["id"]
    admin, now = service.as_role(Role.ADMIN), await service.now()
    reached = {"email": "eve@company.example", "language": "en", "administrator": False}
    assert (await admin.put("/v1/staff-contacts/eve", json=reached)).status_code == 200
    times = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=9)).isoformat()}
    shift = await admin.post("/v1/on-call-shifts", json={"subject": "eve", "position": 1, **times})
    assert shift.status_code == 201, shift.text
    notices = (await customer.get("/v1/notices")).json()["items"]
    return {
        "customer_id": story.customer_id,
        "partner_id": UUID(partner),
        "link_id": UUID(link),
        "notice_id": UUID(notices[0]["id"]),
        "subject": "eve",
        "shift_id": UUID(shift.json()["id"]),
        "subject_id": UUID(notices[0]["subject_id"]),
    }
