"""From nobody to a signed contract: people, a partner, a server and its files, the plan, the agreement."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from deploy.demo import papers
from deploy.demo.client import Person, instant
from deploy.demo.feed import Feed
from deploy.demo.rows import Row, Rows, expect_status, require, sha256
from deploy.demo.stage import SOON, Stage
from shared.kit.auth import Role

PLAN = "care-monthly-eur"
ZONE = "Asia/Shanghai"


class Signing(Stage):
    async def _arrive(self) -> Rows:
        self.busy("Signing everybody in")
        here = self.installation
        self.admin = await here.person("admin", Role.ADMIN)
        self.customer = await here.person("customer", Role.CUSTOMER, customer_id=uuid4())
        self.stranger = await here.person("other_customer", Role.CUSTOMER, customer_id=uuid4())
        self.clerk = await here.person("clerk", Role.FINANCE)
        self.auditor = await here.person("auditor", Role.FINANCE)
        self.technician = await here.person("technician", Role.TECHNICIAN)
        clocks = [await here.clock(service) for service in ("contracts", "billing", "backup", "notify")]
        await here.move_clock(self.admin, max(clocks) + SOON)
        now = await self._now()
        yield Row(when=now, who="Everybody", what=f"is signed in; the clock can be moved ({here.url})", is_time=True)

    async def _register(self) -> Rows:
        self.busy("Registering customers")
        step = "registering the customer"
        path = "/contracts/v1/customers"
        body = {"name": "Harbour Books Ltd", "language": "en", "zone": ZONE, "channel": "portal"}
        refusal = await self.customer.refused(
            "registering by telephone",
            "POST",
            path,
            status=422,
            code="OralRequest",
            clause="3.1",
            json={**body, "channel": "telephone"},
        )
        yield await self._refused("Customer", "registers by telephone", refusal.code, refusal.clause)
        registered = await self._registered(self.customer, step, body)
        yield Row(
            when=instant(registered["registered_at"]),
            who="Customer",
            what="registers in writing: Harbour Books Ltd, English, Shanghai time",
            clause="3.1",
            event="CustomerRegistered",
        )
        await self._registered(
            self.stranger, step, {"name": "林氏贸易", "language": "zh", "zone": ZONE, "channel": "portal"}
        )
        await self._contact("en")
        await self.customer.send(
            "keeping the billing profile",
            "PUT",
            f"/billing/v1/customers/{self.customer.customer_id}/billing-profile",
            json={
                "legal_name": "Harbour Books Ltd",
                "address": {
                    "lines": ["Speicherstadt 7"],
                    "city": "Hamburg",
                    "postal_code": "20457",
                    "country": "DE",
                },
                "channel": "portal",
            },
        )
        yield Row(
            when=await self._now(),
            who="Customer",
            what=f"gives a billing address in Germany, and {self.email} for notices in English",
        )

    async def _registered(self, person: Person, step: str, body: dict[str, Any]) -> Any:
        """A token given from outside may belong to a customer that is registered already."""
        answer = await person.answer("POST", "/contracts/v1/customers", json=body)
        if answer.status_code == 409:
            return await person.get(step, f"/contracts/v1/customers/{person.customer_id}")
        require(step, answer.status_code == 201, "201", f"{answer.status_code} {answer.text[:200]}")
        return answer.json()

    async def _link_partner(self) -> Rows:
        self.busy("Linking a partner")
        here = self.installation
        if here.has_token("partner"):
            self.partner = await here.person("partner", Role.PARTNER)
        else:
            made = await self.admin.send(
                "registering a partner", "POST", "/notify/v1/partners", json={"name": "Quayside Integrations"}
            )
            self.partner = await here.person("partner", Role.PARTNER, partner_id=UUID(made["id"]))
        self.feed = Feed(self.partner, self.customer.customer_id)
        await self.feed.begin()
        link = await self.customer.send(
            "linking the partner",
            "POST",
            "/notify/v1/partner-links",
            json={
                "partner_id": str(self.partner.partner_id),
                "customer_id": str(self.customer.customer_id),
                "channel": "portal",
            },
        )
        self.feed.expect("partner-linked")
        yield Row(
            when=instant(link["linked_at"]),
            who="Customer",
            what="lets a partner read the redacted facts of its story",
            event="PartnerLinked",
        )

    async def _name_server(self) -> Rows:
        self.busy("Putting files on the server")
        server = await self.customer.send(
            "registering the server",
            "POST",
            f"/contracts/v1/customers/{self.customer.customer_id}/servers",
            json={"name": "shop-1", "operating_system": "Debian 12", "channel": "portal"},
        )
        self.server_id = server["id"]
        self.feed.expect("server-registered")
        yield Row(
            when=instant(server["registered_at"]),
            who="Customer",
            what="names the server shop-1",
            event="ServerRegistered",
        )
        for path, content in papers.SERVER_FILES.items():
            await self._put_file(path, content)
        total = sum(map(len, papers.SERVER_FILES.values()))
        yield Row(
            when=await self._now("backup"),
            who="Customer",
            what=f"puts {len(papers.SERVER_FILES)} files ({total // 1024} KiB) into the server's folder",
        )

    async def _put_file(self, path: str, content: bytes) -> None:
        """Until backup has heard of the server it knows none."""
        step = f"storing {path}"
        url = f"/backup/v1/servers/{self.server_id}/files/{path}"
        headers = {"content-type": "application/octet-stream"}

        async def put() -> Any:
            return await self.customer.answer("PUT", url, content=content, headers=headers)

        answer = await self.installation.until(
            step, put, lambda answer: answer.status_code != 404, expected="backup to know the server"
        )
        require(step, answer.is_success, "it to be accepted", f"{answer.status_code} {answer.text[:200]}")
        stored = answer.json()["sha256"]
        require(step, stored == sha256(content), f"SHA-256 {sha256(content)}", stored)

    async def _choose(self) -> Rows:
        self.busy("Choosing a plan")
        step = "drafting the contract"
        plans = await self.customer.get("reading the catalogue", "/contracts/v1/catalogue/plans")
        self.plan = next((plan for plan in plans["items"] if plan["code"] == PLAN), {})
        require("reading the catalogue", bool(self.plan), f"the plan {PLAN}", [plan["code"] for plan in plans["items"]])
        draft = {
            "customer_id": str(self.customer.customer_id),
            "plan_code": PLAN,
            "server_ids": [self.server_id],
            "paper_bill": True,
            "channel": "portal",
        }
        refusal = await self.customer.refused(
            "a plan of one's own",
            "POST",
            "/contracts/v1/contracts",
            status=422,
            code="OutsideCatalogue",
            clause="3.1",
            json={**draft, "plan_code": "whatever-we-need"},
        )
        yield await self._refused("Customer", "asks for a plan of its own", refusal.code, refusal.clause)
        none = await self.customer.all(step, "/contracts/v1/contracts", customer_id=draft["customer_id"])
        require("a plan of one's own", not live(none), "nothing stored", none)
        contract = await self.customer.send(step, "POST", "/contracts/v1/contracts", json=draft)
        self.contract_id = contract["id"]
        yield Row(
            when=instant(contract["drafted_at"]),
            who="Customer",
            what=f"chooses {self.plan['names']['en']}: {self.plan['fee']['text']} net, and a bill on paper",
            clause="3.1",
        )

    async def _accept(self) -> Rows:
        self.busy("Reading the agreement")
        path = f"/contracts/v1/contracts/{self.contract_id}/accept"
        word = await self._word("en")
        refusal = await self.customer.refused(
            "accepting another text",
            "POST",
            path,
            status=409,
            code="AgreementTextDiffers",
            clause="3.1",
            json={**word, "text_sha256": sha256(b"another text")},
        )
        yield await self._refused("Customer", "accepts a text that was not offered", refusal.code, refusal.clause)
        contract = await self.customer.send("accepting the agreement", "POST", path, json=word)
        expect_status("accepting the agreement", contract, "awaiting_payment")
        self.version = contract["agreement_version"]
        self.feed.expect("contract-accepted")
        yield Row(
            when=instant(contract["accepted_at"]),
            who="Customer",
            what=f"accepts agreement {self.version} by the SHA-256 of its text ({word['text_sha256'][:12]}…)",
            clause="3.1",
            event="ContractAccepted",
        )
        path = f"/contracts/v1/contracts/{self.contract_id}"
        step = "another customer's contract"
        await self.stranger.refused(step, "GET", path, status=404, code="NoSuchContract")
        refusal = await self.stranger.refused(
            step, "POST", f"{path}/stop", status=404, code="NoSuchContract", json={"channel": "portal"}
        )
        yield await self._refused("Stranger", "reads and stops another customer's contract", refusal.code, None)


def live(contracts: list[Any]) -> list[Any]:
    return [one for one in contracts if one["status"] in {"draft", "awaiting_payment", "active", "held"}]
