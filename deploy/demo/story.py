"""One contract's term, from signature to expiry, with what is refused on the way; every expectation is checked.

Steps speak HTTP to a running installation and nothing else, so the same story is played against
one process, against split processes, and against a remote deployment.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from deploy.demo import papers
from deploy.demo.client import Installation, Person, StepFailed, instant
from deploy.demo.feed import Feed
from shared.kit.auth import Role

PLAN = "care-monthly-eur"
ZONE = "Asia/Shanghai"
SOON = timedelta(seconds=1)
NOTICES = Counter(
    {
        "invoice-issued": 2,
        "payment-approved": 2,
        "service-registered": 1,
        "service-expiring": 2,
        "service-renewed": 1,
        "service-expired": 1,
    }
)
LANGUAGES = {"en": "English", "zh": "Chinese"}
FINISHED_RUNS = frozenset({"succeeded", "missed"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the timeline: when by the business clock, who, what, by which clause, told as which event."""

    when: datetime
    who: str
    what: str
    clause: str | None = None
    event: str | None = None
    refused: bool = False
    is_time: bool = False

    @property
    def by_service(self) -> bool:
        return self.who in {"Contracts", "Billing", "Backup", "Notify"}


Rows = AsyncIterator[Row]


def _no_news(_what: str) -> None:
    return None


@dataclass
class Story:
    """`busy` hears what is being waited for. Afterwards the fields tell what there is to look at."""

    installation: Installation
    busy: Callable[[str], None] = _no_news
    email: str = field(default_factory=lambda: f"ops-{uuid4().hex[:8]}@harbour-books.example")

    async def play(self) -> Rows:
        """The whole story, row by row as it happens; raises StepFailed at the first thing that does not hold."""
        chapters = (
            self._arrive,
            self._register,
            self._link_partner,
            self._name_server,
            self._choose,
            self._accept,
            self._pay_first,
            self._protect,
            self._restore,
            self._ask_for_work,
            self._first_window,
            self._renew,
            self._second_period,
            self._second_window,
            self._expire,
            self._after_the_end,
            self._compare_feed,
        )
        for chapter in chapters:
            async for row in chapter():
                yield row

    # Who takes part

    async def _arrive(self) -> Rows:
        self.busy("Signing everybody in")
        here = self.installation
        self.admin = await here.person("admin", Role.ADMIN)
        self.customer = await here.person("customer", Role.CUSTOMER, customer_id=uuid4())
        self.stranger = await here.person("other_customer", Role.CUSTOMER, customer_id=uuid4())
        self.clerk = await here.person("clerk", Role.FINANCE)
        self.auditor = await here.person("auditor", Role.FINANCE)
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
        _require(step, answer.status_code == 201, "201", f"{answer.status_code} {answer.text[:200]}")
        return answer.json()

    async def _contact(self, language: str) -> None:
        await self.customer.send(
            "keeping the contact",
            "PUT",
            f"/notify/v1/customers/{self.customer.customer_id}/contact",
            json={"email": self.email, "language": language},
        )

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

    # The server, its files, the choice

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
        _require(step, answer.is_success, "it to be accepted", f"{answer.status_code} {answer.text[:200]}")
        stored = answer.json()["sha256"]
        _require(step, stored == _sha256(content), f"SHA-256 {_sha256(content)}", stored)

    async def _choose(self) -> Rows:
        self.busy("Choosing a plan")
        step = "drafting the contract"
        plans = await self.customer.get("reading the catalogue", "/contracts/v1/catalogue/plans")
        self.plan = next((plan for plan in plans["items"] if plan["code"] == PLAN), None) or {}
        _require(
            "reading the catalogue", bool(self.plan), f"the plan {PLAN}", [plan["code"] for plan in plans["items"]]
        )
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
        _require("a plan of one's own", not _live(none), "nothing stored", none)
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
            json={**word, "text_sha256": _sha256(b"another text")},
        )
        yield await self._refused("Customer", "accepts a text that was not offered", refusal.code, refusal.clause)
        contract = await self.customer.send("accepting the agreement", "POST", path, json=word)
        _expect_status("accepting the agreement", contract, "awaiting_payment")
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

    async def _word(self, language: str) -> dict[str, str]:
        """What names the exact text that is offered now; the hash is computed here, from the text."""
        offered = await self.customer.get(
            "reading the agreement", "/contracts/v1/agreements/current", language=language
        )
        digest = _sha256(offered["text"].encode())
        _require("reading the agreement", digest == offered["sha256"], f"SHA-256 {digest}", offered["sha256"])
        return {
            "agreement_version": offered["version"],
            "language": language,
            "text_sha256": digest,
            "channel": "portal",
        }

    # Paying (3.2, 3.6)

    async def _pay_first(self) -> Rows:
        invoice = await self._invoice(1)
        yield self._invoice_row(invoice)
        async for row in self._refused_reports(invoice):
            yield row
        self.busy("Reporting the payment")
        payment = await self._report(
            self.customer, invoice, channel="portal", evidence=("transfer.pdf", papers.PDF, "application/pdf")
        )
        self.feed.expect("payment-reported")
        yield Row(
            when=instant(payment["reported_at"]),
            who="Customer",
            what=f"reports {payment['amount']['text']} with a PDF as evidence",
            clause="3.2",
            event="PaymentReported",
        )
        payment = await self._approve(payment)
        yield self._audit_row(payment)
        self.busy("Waiting for the service to be registered")
        contract = await self._contract_when(
            "registering the service", lambda seen: seen["status"] == "active", "an active contract"
        )
        first = contract["periods"][0]
        _require(
            "registering the service",
            instant(first["starts_at"]) == instant(payment["audited_at"]),
            f"a start at the audit's instant {payment['audited_at']}",
            first["starts_at"],
        )
        self.feed.expect("service-registered")
        yield Row(
            when=instant(first["starts_at"]),
            who="Contracts",
            what=f"registers the service from the audit's instant until {_minute(first['ends_at'])}",
            clause="3.2",
            event="ServiceRegistered",
        )

    async def _invoice(self, period: int) -> Any:
        self.busy("Waiting for the invoice")
        step = f"issuing the invoice of period {period}"

        async def look() -> list[Any]:
            return await self.customer.all(step, "/billing/v1/invoices", contract_id=self.contract_id)

        def issued(found: list[Any]) -> bool:
            return any(one["period_index"] == period and one["status"] == "issued" for one in found)

        found = await self.installation.until(step, look, issued, expected="an issued invoice")
        own = [one for one in found if one["period_index"] == period]
        _require(step, len(own) == 1, "one invoice for the period", len(own))
        invoice = own[0]
        self.feed.expect("invoice-issued")
        parts = [invoice[part]["minor"] for part in ("net", "tax", "mailing")]
        _require(step, sum(parts) == invoice["total"]["minor"], f"a total of {sum(parts)}", invoice["total"])
        _require(step, all(parts), "fee, tax and mailing on lines of their own", parts)
        lines = Counter(line["amount"]["minor"] for line in invoice["lines"])
        _require(step, sum(lines.elements()) == invoice["total"]["minor"], "lines that sum to the total", lines)
        return invoice

    def _invoice_row(self, invoice: Any) -> Row:
        net, tax, mailing, total = (invoice[part]["text"] for part in ("net", "tax", "mailing", "total"))
        return Row(
            when=instant(invoice["issued_at"]),
            who="Billing",
            what=f"issues {invoice['number']}: fee {net} + tax {tax} + mailing {mailing} = {total}",
            clause="3.6",
            event="InvoiceIssued",
        )

    async def _refused_reports(self, invoice: Any) -> Rows:
        self.busy("Reporting payments that cannot be")
        right = {
            "invoice_id": invoice["id"],
            "amount_minor": str(invoice["total"]["minor"]),
            "currency": "EUR",
            "channel": "portal",
        }
        pdf = ("transfer.pdf", papers.PDF, "application/pdf")
        program = ("transfer.pdf", papers.PROGRAM, "application/pdf")
        large = ("scan.pdf", papers.too_large(), "application/pdf")
        cases: tuple[tuple[str, dict[str, str], papers.Upload, int, str, str], ...] = (
            ("pays by word of mouth", {"channel": "oral"}, pdf, 422, "OralRequest", "3.1"),
            ("pays in dollars", {"currency": "USD"}, pdf, 422, "WrongCurrency", "3.2"),
            ("sends a program as evidence", {}, program, 415, "EvidenceOfWrongType", "3.2"),
            ("sends a scan of more than 5 MiB", {}, large, 413, "EvidenceTooLarge", "3.2"),
        )
        for what, changed, evidence, status, code, clause in cases:
            refusal = await self.customer.refused(
                what,
                "POST",
                "/billing/v1/payments",
                status=status,
                code=code,
                clause=clause,
                data={**right, **changed},
                files={"evidence": evidence},
            )
            yield await self._refused("Customer", what, refusal.code, refusal.clause)
        stored = await self.customer.all("refused payments", "/billing/v1/payments", invoice_id=invoice["id"])
        _require("refused payments", not stored, "nothing stored", stored)

    async def _report(
        self,
        person: Person,
        invoice: Any,
        *,
        channel: str,
        evidence: papers.Upload | None = None,
        bank_reference: str | None = None,
    ) -> Any:
        form = {
            "invoice_id": invoice["id"],
            "amount_minor": str(invoice["total"]["minor"]),
            "currency": invoice["total"]["currency"],
            "channel": channel,
        }
        form |= {"bank_reference": bank_reference} if bank_reference else {}
        # A form without a file is still a multipart form to httpx as long as `files` is not empty.
        files: dict[str, Any] = (
            {"evidence": evidence} if evidence else {name: (None, value) for name, value in form.items()}
        )
        return await person.send(
            "reporting the payment",
            "POST",
            "/billing/v1/payments",
            data=form if evidence else None,
            files=files,
        )

    async def _approve(self, payment: Any) -> Any:
        self.busy("Auditing the payment")
        path = f"/billing/v1/payments/{payment['id']}/approve"
        approved = await self.auditor.send("approving the payment", "POST", path)
        _expect_status("approving the payment", approved, "approved")
        self.feed.expect("payment-audited")
        self.feed.expect("invoice-settled")
        return approved

    def _audit_row(self, payment: Any) -> Row:
        return Row(
            when=instant(payment["audited_at"]),
            who="Auditor",
            what=f"approves {payment['amount']['text']}; the invoice is covered",
            clause="3.2",
            event="PaymentAudited",
        )

    # Backups (2.2)

    async def _protect(self) -> Rows:
        self.busy("Making the first backup with restic")
        step = "making the first backup"

        async def look() -> list[Any]:
            return await self.customer.all(step, "/backup/v1/protections", contract_id=self.contract_id)

        found = await self.installation.until(step, look, bool, expected="a protection of the server")
        _require(step, len(found) == 1, "one protection", len(found))
        protection = found[0]
        self.protection_id = protection["id"]
        self.feed.expect("protection-started")
        yield Row(
            when=instant(protection["started_at"]),
            who="Backup",
            what=f"protects shop-1 locally every {protection['every_hours']} hours",
            clause="2.2",
            event="ProtectionStarted",
        )
        run = (await self._runs(step, 1))[-1]
        self.run_id = run["id"]
        yield self._backup_row(run)
        held = await self.customer.get(step, f"/backup/v1/runs/{run['id']}/files")
        paths = {file["path"] for file in held["items"]}
        _require(step, set(papers.SERVER_FILES) <= paths, f"the files {sorted(papers.SERVER_FILES)}", sorted(paths))

    async def _runs(self, step: str, at_least: int) -> list[Any]:
        """The runs, once there are so many, the last has succeeded, and none is under way or left to be tried again."""

        async def look() -> list[Any]:
            return await self.customer.all(step, f"/backup/v1/protections/{self.protection_id}/runs")

        def done(runs: list[Any]) -> bool:
            # A run that was killed is given up, not repeated, once the next slot is due.
            finished = all(run["status"] in FINISHED_RUNS for run in runs)
            return len(runs) >= at_least and finished and runs[-1]["status"] == "succeeded"

        runs = await self.installation.until(step, look, done, expected=f"{at_least} runs, the last a success")
        slots = Counter(run["slot_at"] for run in runs)
        _require(step, max(slots.values()) == 1, "one backup per slot", slots)
        return runs

    def _backup_row(self, run: Any) -> Row:
        again = f", at attempt {run['attempts']}" if run["attempts"] > 1 else ""
        return Row(
            when=instant(run["completed_at"]),
            who="Backup",
            what=f"backs {run['files']} files up; snapshot {run['snapshot_id'][:8]} is found again by its run's tag{again}",
            clause="2.2",
            event="BackupCompleted",
        )

    async def _restore(self) -> Rows:
        yield await self._restore_row("ledger/2026.csv", self.run_id)

    async def _restore_row(self, path: str, run_id: str | None) -> Row:
        self.busy(f"Restoring {path}")
        step = f"restoring {path}"
        body = {"server_id": self.server_id, "path": path, "channel": "portal"}
        body |= {"run_id": run_id} if run_id else {}
        asked = await self.customer.send(step, "POST", "/backup/v1/restores", json=body)

        async def look() -> Any:
            return await self.customer.get(step, f"/backup/v1/restores/{asked['id']}")

        restore = await self.installation.until(
            step, look, lambda seen: seen["status"] != "requested", expected="a finished restore"
        )
        _expect_status(step, restore, "completed")
        content = (await self.customer.answer("GET", f"/backup/v1/restores/{asked['id']}/content")).content
        wanted = _sha256(papers.SERVER_FILES[path])
        _require(step, _sha256(content) == wanted == restore["sha256"], f"SHA-256 {wanted}", restore["sha256"])
        _require(step, restore["within_target"] is True, "the agreement's restore target kept", restore)
        self.feed.expect("restore-completed")
        return Row(
            when=instant(restore["finished_at"]),
            who="Backup",
            what=f"restores {path}; its SHA-256 is that of the file uploaded ({wanted[:12]}…)",
            clause="2.2",
            event="RestoreCompleted",
        )

    async def _ask_for_work(self) -> Rows:
        refusal = await self.customer.refused(
            "work outside the catalogue",
            "POST",
            f"/contracts/v1/contracts/{self.contract_id}/work-requests",
            status=422,
            code="OutsideCatalogue",
            clause="3.1",
            json={"operation_code": "rewrite-our-shop", "server_id": self.server_id, "channel": "portal"},
        )
        yield await self._refused("Customer", "asks for work outside the catalogue", refusal.code, refusal.clause)
        work = await self.customer.all("work outside the catalogue", "/contracts/v1/work-requests")
        mine = [one for one in work if one["contract_id"] == self.contract_id]
        _require("work outside the catalogue", not mine, "nothing stored", mine)

    # The windows (3.3), renewal, and the end (3.4)

    async def _first_window(self) -> Rows:
        async for row in self._window(1, "en", "Your service ends"):
            yield row

    async def _window(self, period: int, language: str, subject: str) -> Rows:
        window = await self.customer.get("reading the window", f"/contracts/v1/contracts/{self.contract_id}/window")
        _require("reading the window", window["period_index"] == period, f"period {period}", window["period_index"])
        _require("reading the window", not window["open"], "a window that is not open yet", window)
        early = await self._notices("service-expiring")
        _require("the window", len(early) == period - 1, "no warning before the window opens", early)
        opens = instant(window["opens_at"])
        closes = instant(window["closes_at"])
        _require("the window", closes - opens == timedelta(days=3), "a window of three days", str(closes - opens))
        runs = len(await self._runs("the backups so far", 1))
        yield await self._move(opens + SOON, "three days before the end")
        self.busy("Waiting for the warning to be delivered")
        notice = (await self._delivered("service-expiring", period))[-1]
        self.feed.expect("service-expiring")
        attempt = await self._proof(notice, language)
        mail = await self._mail(subject)
        yield Row(
            when=instant(notice["created_at"]),
            who="Contracts",
            what=f"tells once that period {period} ends on {_minute(window['closes_at'])}",
            clause="3.3",
            event="ServiceExpiring",
        )
        yield Row(
            when=instant(notice["settled_at"]),
            who="Notify",
            what=f"e-mails it in {LANGUAGES[language]}{mail}; the mail server says {attempt['smtp_code']}",
            clause="3.3",
            event="NoticeDelivered",
        )
        run = (await self._runs("backing up as time passes", runs + 1))[-1]
        yield self._backup_row(run)

    async def _renew(self) -> Rows:
        self.busy("Renewing")
        await self._contact("zh")
        yield Row(when=await self._now("notify"), who="Customer", what="wants its notices in Chinese from now on")
        word = await self._word("zh")
        contract = await self.customer.send(
            "renewing", "POST", f"/contracts/v1/contracts/{self.contract_id}/renew", json=word
        )
        _require("renewing", contract["window"]["decision"] == "renew", "the decision on record", contract["window"])
        self.feed.expect("renewal-requested")
        yield Row(
            when=await self._now(),
            who="Customer",
            what=f"renews by agreement {word['agreement_version']}, accepted in Chinese",
            clause="3.3",
            event="RenewalRequested",
        )
        invoice = await self._invoice(2)
        yield self._invoice_row(invoice)
        reference = f"RF18 {uuid4().hex[:12].upper()}"
        payment = await self._report(self.clerk, invoice, channel="email", bank_reference=reference)
        self.feed.expect("payment-reported")
        yield Row(
            when=instant(payment["reported_at"]),
            who="Clerk",
            what=f"records {payment['amount']['text']} from the customer's e-mail, bank reference {reference[:9]}…",
            clause="3.2",
            event="PaymentReported",
        )
        refusal = await self.clerk.refused(
            "auditing one's own entry",
            "POST",
            f"/billing/v1/payments/{payment['id']}/approve",
            status=403,
            code="OwnEntry",
            clause="3.2",
        )
        yield await self._refused("Clerk", "audits the own entry", refusal.code, refusal.clause)
        payment = await self._approve(payment)
        yield self._audit_row(payment)
        self.busy("Waiting for the next period")
        contract = await self._contract_when(
            "renewing",
            lambda seen: len(seen["periods"]) == 2 and seen["periods"][1]["payment_id"] == payment["id"],
            "a second period that is paid",
        )
        first, second = contract["periods"]
        _require("renewing", first["ends_at"] == second["starts_at"], f"no gap after {first['ends_at']}", second)
        self.feed.expect("service-renewed")
        yield Row(
            when=instant(payment["audited_at"]),
            who="Contracts",
            what=f"renews without a gap: {_minute(second['starts_at'])} to {_minute(second['ends_at'])}",
            clause="3.3",
            event="ServiceRenewed",
        )

    async def _second_period(self) -> Rows:
        contract = await self._contract()
        end = instant(contract["periods"][0]["ends_at"])
        runs = len(await self._runs("the backups so far", 1))
        yield await self._move(end + SOON, "past the first period's end")
        self.busy("Waiting for the second period to begin")
        contract = await self._contract_when(
            "going on without a gap",
            lambda seen: seen["current_period_index"] == 2,
            "the second period to be the present one",
        )
        _expect_status("going on without a gap", contract, "active")
        yield Row(when=end, who="Contracts", what="goes on into the second period", clause="3.3")
        run = (await self._runs("backing up as time passes", runs + 1))[-1]
        yield self._backup_row(run)

    async def _second_window(self) -> Rows:
        async for row in self._window(2, "zh", "到期"):
            yield row

    async def _expire(self) -> Rows:
        contract = await self._contract()
        end = instant(contract["periods"][-1]["ends_at"])
        yield await self._move(end + SOON, "nobody renews, nobody pays")
        self.busy("Waiting for the service to expire")
        contract = await self._contract_when(
            "expiring", lambda seen: seen["status"] == "expired", "an expired contract"
        )
        _require("expiring", contract["end_reason"] == "not-renewed", "not-renewed", contract["end_reason"])
        _require("expiring", instant(contract["ended_at"]) == end, f"an end on the second {end}", contract["ended_at"])
        self.ended_at = end
        self.feed.expect("service-expired")
        yield Row(
            when=end,
            who="Contracts",
            what="lets the service expire, on the second",
            clause="3.4",
            event="ServiceExpired",
        )
        await self._delivered("service-expired", 1)
        word = await self._word("zh")
        refusal = await self.customer.refused(
            "renewing after the end",
            "POST",
            f"/contracts/v1/contracts/{self.contract_id}/renew",
            status=409,
            code="AfterTheEnd",
            clause="3.3",
            json=word,
        )
        yield await self._refused("Customer", "renews after the end", refusal.code, refusal.clause)

    async def _after_the_end(self) -> Rows:
        self.busy("Waiting for the backups to stop")
        step = "ending the protection"

        async def look() -> Any:
            return await self.customer.get(step, f"/backup/v1/protections/{self.protection_id}")

        protection = await self.installation.until(
            step, look, lambda seen: seen["status"] == "ended", expected="an ended protection"
        )
        keeps = timedelta(days=protection["retention_days"])
        kept_until = instant(protection["retain_until"])
        _require(step, kept_until == self.ended_at + keeps, f"data kept until {self.ended_at + keeps}", kept_until)
        self.feed.expect("protection-ended")
        yield Row(
            when=instant(protection["ended_at"]),
            who="Backup",
            what=f"makes no more backups, and keeps the data until {_minute(protection['retain_until'])}",
            clause="2.2",
            event="ProtectionEnded",
        )
        runs = await self._settled_runs(step)
        yield await self._move(self.ended_at + timedelta(days=2), "two days later")
        after = await self._settled_runs(step)
        _require(step, len(after) == len(runs), f"still {len(runs)} runs", len(after))
        yield await self._restore_row("photos/quay.bin", None)
        self.feed.expect("backup-completed", times=sum(run["status"] == "succeeded" for run in after))

    async def _settled_runs(self, step: str) -> list[Any]:
        """All runs, once none is under way."""

        async def look() -> list[Any]:
            return await self.customer.all(step, f"/backup/v1/protections/{self.protection_id}/runs")

        return await self.installation.until(
            step,
            look,
            lambda runs: all(run["status"] in FINISHED_RUNS for run in runs),
            expected="no run under way",
        )

    async def _compare_feed(self) -> Rows:
        self.busy("Comparing what the partner reads with what happened")
        notices = await self._all_delivered()
        self.feed.expect("notice-delivered", times=len(notices))
        count = await self.feed.compare(self.installation, self.contract_id)
        yield Row(
            when=await self._now(),
            who="Partner",
            what=f"has read all {count} redacted facts of this story in order, without a gap",
        )

    # What steps share

    async def _now(self, service: str = "contracts") -> datetime:
        return await self.installation.clock(service)

    async def _move(self, to: datetime, what: str) -> Row:
        self.busy("Moving the clock")
        await self.feed.read()
        await self.installation.move_clock(self.admin, to)
        return Row(when=to, who="Clock", what=f"→ {what}", is_time=True)

    async def _refused(self, who: str, what: str, code: str, clause: str | None) -> Row:
        return Row(when=await self._now(), who=who, what=what, clause=clause, event=code, refused=True)

    async def _contract(self) -> Any:
        return await self.customer.get("reading the contract", f"/contracts/v1/contracts/{self.contract_id}")

    async def _contract_when(self, step: str, holds: Callable[[Any], object], expected: str) -> Any:
        return await self.installation.until(step, self._contract, holds, expected=expected)

    async def _notices(self, kind: str | None) -> list[Any]:
        filters = {"kind": kind} if kind else {}
        found = await self.customer.all("reading notices", "/notify/v1/notices", **filters)
        return [notice for notice in found if notice["contract_id"] == self.contract_id]

    async def _delivered(self, kind: str, count: int) -> list[Any]:
        """Exactly `count` notices of the kind, all delivered."""

        async def look() -> list[Any]:
            return await self._notices(kind)

        def done(found: list[Any]) -> bool:
            return len(found) >= count and all(notice["status"] == "delivered" for notice in found)

        step = f"delivering {kind}"
        found = await self.installation.until(step, look, done, expected=f"{count} delivered")
        _require(step, len(found) == count, f"{count}, once per period", len(found))
        return found

    async def _all_delivered(self) -> list[Any]:
        def done(found: list[Any]) -> bool:
            kinds = Counter(notice["kind"] for notice in found)
            return kinds == NOTICES and all(notice["status"] == "delivered" for notice in found)

        return await self.installation.until(
            "delivering every notice", lambda: self._notices(None), done, expected=f"delivered: {dict(NOTICES)}"
        )

    async def _proof(self, notice: Any, language: str) -> Any:
        step = "proving the delivery"
        detail = await self.customer.get(step, f"/notify/v1/notices/{notice['id']}")
        attempt = detail["attempts"][-1]
        _require(step, attempt["smtp_code"] == 250, "the mail server's 250", attempt)
        _require(step, attempt["language"] == language, f"language {language}", attempt["language"])
        _require(
            step,
            attempt["reply_sha256"] == _sha256(attempt["reply"].encode()),
            "the reply's SHA-256",
            attempt["reply_sha256"],
        )
        return attempt

    async def _mail(self, subject: str) -> str:
        """What to say about the e-mail as it arrived, where this installation has a mailbox to look into."""
        answer = await self.installation.patiently("GET", "/mailbox/messages", params={"to": self.email})
        if answer.status_code == 404:
            return ""
        subjects = [message["subject"] for message in answer.json()["items"]]
        found = next((one for one in subjects if subject in one), None)
        _require("reading the mailbox", found is not None, f"an e-mail about {subject!r}", subjects)
        return f": “{found}”"


def _require(step: str, holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise StepFailed(step, expected=expected, got=str(got)[:300])


def _expect_status(step: str, thing: Any, status: str) -> None:
    reason = f" ({thing['reason']})" if thing.get("reason") else ""
    _require(step, thing["status"] == status, f"status {status}", f"{thing['status']}{reason}")


def _live(contracts: list[Any]) -> list[Any]:
    return [one for one in contracts if one["status"] in {"draft", "awaiting_payment", "active", "held"}]


def _minute(text: str) -> str:
    return f"{instant(text):%Y-%m-%d %H:%M}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
