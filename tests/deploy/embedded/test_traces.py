"""One trace leads from an auditor's click to the backup and the letter, and says of nobody who they are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from deploy import environment
from deploy.embedded.company import Company, open_company
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.runtime import development_issuer
from shared.kit.settings import CommonSettings
from tests.infrastructure.collector import Collector, Told, running_collector
from tests.infrastructure.process import free_port
from tests.infrastructure.smtp import SmtpPeer
from tests.infrastructure.waiting import eventually

APPROVE = "POST /v1/payments/{payment_id}/approve"
AUDITED = "process mainstay.billing.payment-audited.v1"
REGISTERED = "process mainstay.contracts.service-registered.v1"
REGISTERED_SUBJECT = "Your service is registered"
UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


class People:
    """Speaks to the services of a company in this process."""

    def __init__(self, company: Company, stack: AsyncExitStack) -> None:
        self._company = company
        self._stack = stack
        self.customer_id = new_id()

    async def send(self, service: str, method: str, path: str, *, role: Role = Role.CUSTOMER, **options: Any) -> Any:
        whose = self.customer_id if role is Role.CUSTOMER else None
        token = development_issuer(self._company.common).token(role, customer_id=whose)
        client = await self._stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(self._company.apps[service]), base_url="http://company")
        )
        headers = {"authorization": f"Bearer {token}", "idempotency-key": str(new_id())}
        answer = await client.request(method, path, headers=headers, **options)
        assert answer.is_success, answer.text
        return answer.json()

    async def sign(self) -> UUID:
        """A customer with a contact, a profile, a server and an accepted contract; the contract's id."""
        customer = {"name": "Harbour Books Ltd", "language": "en", "zone": "Europe/Berlin", "channel": "portal"}
        self.customer_id = UUID((await self.send("contracts", "POST", "/v1/customers", json=customer))["id"])
        server = {"name": "shop-1", "operating_system": "Debian 12", "channel": "portal"}
        servers = f"/v1/customers/{self.customer_id}/servers"
        server_id = (await self.send("contracts", "POST", servers, json=server))["id"]
        address = {"lines": ["Speicherstadt 7"], "city": "Hamburg", "postal_code": "20457", "country": "DE"}
        profile = {"legal_name": "Harbour Books Ltd", "address": address}
        await self.send("billing", "PUT", f"/v1/customers/{self.customer_id}/billing-profile", json=profile)
        contact = {"email": "ops@harbour-books.example", "language": "en"}
        await self.send("notify", "PUT", f"/v1/customers/{self.customer_id}/contact", json=contact)
        draft = {"plan_code": "care-monthly-eur", "server_ids": [server_id], "paper_bill": False, "channel": "portal"}
        draft |= {"customer_id": str(self.customer_id)}
        contract_id = (await self.send("contracts", "POST", "/v1/contracts", json=draft))["id"]
        offered = await self.send("contracts", "GET", "/v1/agreements/current", params={"language": "en"})
        word = {"agreement_version": offered["version"], "language": "en", "text_sha256": offered["sha256"]}
        await self.send("contracts", "POST", f"/v1/contracts/{contract_id}/accept", json=word | {"channel": "portal"})
        return UUID(contract_id)

    async def pay(self, contract_id: UUID) -> None:
        """Reported by the customer and approved by finance."""

        async def issued() -> list[Any]:
            found = await self.send("billing", "GET", "/v1/invoices", params={"contract_id": str(contract_id)})
            return [invoice for invoice in found["items"] if invoice["status"] == "issued"]

        invoice = (await eventually(issued))[0]
        amount = {"amount_minor": str(invoice["total"]["minor"]), "currency": "EUR"}
        report = {"invoice_id": invoice["id"], **amount, "channel": "portal", "bank_reference": "RF18 5390 0754 7034"}
        files = {name: (None, value) for name, value in report.items()}
        payment = await self.send("billing", "POST", "/v1/payments", files=files)
        await self.send("billing", "POST", f"/v1/payments/{payment['id']}/approve", role=Role.FINANCE)


@asynccontextmanager
async def traced_company(folder: Path, endpoint: str, smtp_port: int) -> AsyncIterator[People]:
    common = CommonSettings(data_dir=folder, otlp_endpoint=endpoint)
    async with (
        AsyncExitStack() as stack,
        open_company(common, environment.read_all(), smtp_port=smtp_port) as company,
        company.working(),
    ):
        yield People(company, stack)


async def test_one_trace_leads_from_an_approval_to_what_every_service_does(tmp_path: Path, smtp_peer: SmtpPeer) -> None:
    with running_collector() as collector:
        async with traced_company(tmp_path, collector.url, smtp_peer.port) as people:
            await people.pay(await people.sign())
            await smtp_peer.wait_for(lambda mail: mail.message["Subject"] == REGISTERED_SUBJECT, timeout=30)
    [approval] = collector.named(APPROVE, "mainstay-billing")
    audited = child(collector, AUDITED, "mainstay-contracts", of=approval)
    child(collector, REGISTERED, "mainstay-backup", of=audited)
    child(collector, REGISTERED, "mainstay-notify", of=audited)
    child(collector, "publish mainstay.billing.payment-audited.v1", "mainstay-billing", of=approval)
    child(collector, "publish mainstay.contracts.service-registered.v1", "mainstay-contracts", of=audited)
    child(collector, "transaction", "mainstay-billing", of=approval)
    [sent, *_] = [span for span in collector.named("timer notice.send", "mainstay-notify") if not span.parent]
    child(collector, "smtp send", "mainstay-notify", of=sent)
    _say_nothing_of_anybody(collector, str(people.customer_id))


def child(collector: Collector, name: str, service: str, *, of: Told) -> Told:
    found = [span for span in collector.named(name, service) if span.parent == of.id]
    assert len(found) == 1, f"{name} of {service} under {of.name}: {sorted({each.name for each in collector.spans})}"
    assert found[0].trace == of.trace
    return found[0]


def _say_nothing_of_anybody(collector: Collector, customer_id: str) -> None:
    said = [f"{span.name} {span.attributes}" for span in collector.spans]
    assert not [text for text in said if UUIDS.search(text) or "harbour" in text.lower() or customer_id in text]
    assert {resource["service.name"] for resource in collector.resources} == {
        f"mainstay-{service}" for service in ("contracts", "billing", "backup", "notify")
    }
    for resource in collector.resources:
        assert resource["service.version"]
        assert resource["service.instance.id"]


async def test_a_collector_that_is_away_changes_nothing(tmp_path: Path, smtp_peer: SmtpPeer) -> None:
    async with traced_company(tmp_path, f"http://127.0.0.1:{free_port()}", smtp_peer.port) as people:
        await people.pay(await people.sign())
        await smtp_peer.wait_for(lambda mail: mail.message["Subject"] == REGISTERED_SUBJECT, timeout=30)
