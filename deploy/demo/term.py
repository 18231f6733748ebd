"""The term passes: windows and warnings, renewal without a gap, and the end (clauses 3.3 and 3.4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from deploy.demo.backups import Backups
from deploy.demo.client import instant
from deploy.demo.emergencies import Emergencies
from deploy.demo.paying import Paying
from deploy.demo.rows import Row, Rows, expect_status, minute, require
from deploy.demo.stage import SOON

LANGUAGES = {"en": "English", "zh": "Chinese"}


class Term(Backups, Emergencies, Paying):
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
        require("work outside the catalogue", not mine, "nothing stored", mine)

    async def _first_window(self) -> Rows:
        async for row in self._window(1, "en", "Your service ends"):
            yield row

    async def _window(self, period: int, language: str, subject: str) -> Rows:
        window = await self.customer.get("reading the window", f"/contracts/v1/contracts/{self.contract_id}/window")
        require("reading the window", window["period_index"] == period, f"period {period}", window["period_index"])
        require("reading the window", not window["open"], "a window that is not open yet", window)
        early = await self._notices("service-expiring")
        require("the window", len(early) == period - 1, "no warning before the window opens", early)
        opens = instant(window["opens_at"])
        closes = instant(window["closes_at"])
        require("the window", closes - opens == timedelta(days=3), "a window of three days", str(closes - opens))
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
            what=f"tells once that period {period} ends on {minute(window['closes_at'])}",
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
        require("renewing", contract["window"]["decision"] == "renew", "the decision on record", contract["window"])
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
        require("renewing", first["ends_at"] == second["starts_at"], f"no gap after {first['ends_at']}", second)
        self.feed.expect("service-renewed")
        yield Row(
            when=instant(payment["audited_at"]),
            who="Contracts",
            what=f"renews without a gap: {minute(second['starts_at'])} to {minute(second['ends_at'])}",
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
        expect_status("going on without a gap", contract, "active")
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
        require("expiring", contract["end_reason"] == "not-renewed", "not-renewed", contract["end_reason"])
        require("expiring", instant(contract["ended_at"]) == end, f"an end on the second {end}", contract["ended_at"])
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
        yield await self._called_in_vain()

    async def _after_the_end(self) -> Rows:
        self.busy("Waiting for the backups to stop")
        step = "ending the protection"
        for protection_id in self.protections:
            yield await self._ended_row(step, protection_id)
        runs = await self._settled_runs(step)
        yield await self._move(self.ended_at + timedelta(days=2), "two days later")
        after = await self._settled_runs(step)
        require(step, len(after) == len(runs), f"still {len(runs)} runs", len(after))
        yield await self._restore_row("photos/quay.bin", None)

    async def _ended_row(self, step: str, protection_id: str) -> Row:
        async def look() -> Any:
            return await self.customer.get(step, f"/backup/v1/protections/{protection_id}")

        protection = await self.installation.until(
            step, look, lambda seen: seen["status"] == "ended", expected="an ended protection"
        )
        keeps = timedelta(days=protection["retention_days"])
        kept_until = instant(protection["retain_until"])
        require(step, kept_until == self.ended_at + keeps, f"data kept until {self.ended_at + keeps}", kept_until)
        self.feed.expect("protection-ended")
        return Row(
            when=instant(protection["ended_at"]),
            who="Backup",
            what=f"makes no more {protection['place']} backups, and keeps the data until "
            f"{minute(protection['retain_until'])}",
            clause="2.2",
            event="ProtectionEnded",
        )
