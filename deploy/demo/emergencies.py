"""Technical support is called, pages whoever is on call, and is refused after the end (clauses 1.3 and 3.4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from deploy.demo.client import instant, text_of
from deploy.demo.rows import Row, Rows, expect_status, minute, require
from deploy.demo.stage import Stage

STEP = "calling technical support"
SEEN = "The shop answers no customer any more."
SHIFT = timedelta(hours=1)


class Emergencies(Stage):
    async def _call_support(self) -> Rows:
        self.busy("Calling technical support")
        address = f"technician-{uuid4().hex[:8]}@mainstay.example"
        shift = await self._put_on_call(address)
        emergency = await self.customer.send(STEP, "POST", self._emergencies, json=self._call())
        self.feed.expect("emergency-reported")
        yield Row(
            when=instant(emergency["reported_at"]),
            who="Customer",
            what=f"has an emergency, to be acknowledged by {minute(emergency['acknowledge_by'])}",
            clause="1.3",
            event="EmergencyReported",
        )
        page = await self._page(emergency["id"])
        mail = await self._mail("EMERGENCY", to=address)
        yield Row(
            when=instant(page["settled_at"]),
            who="Notify",
            what=f"pages the technician on call{mail}; the mail server says {page['smtp_code']}",
            clause="1.3",
        )
        one = f"/contracts/v1/emergencies/{emergency['id']}"
        acknowledged = await self.technician.send(STEP, "POST", f"{one}/acknowledge")
        expect_status(STEP, acknowledged, "acknowledged")
        require(STEP, acknowledged["escalations"] == 0, "nobody else to be called", acknowledged["escalations"])
        self.feed.expect("emergency-acknowledged")
        yield Row(
            when=instant(acknowledged["acknowledged_at"]),
            who="Technician",
            what="takes it on; nobody else is called",
            clause="1.3",
            event="EmergencyAcknowledged",
        )
        log = {"outcome": "restored", "log": "Restarted the shop; its certificate had been replaced."}
        resolved = await self.technician.send(STEP, "POST", f"{one}/resolve", json=log)
        self.feed.expect("emergency-resolved")
        yield Row(
            when=instant(resolved["ended_at"]),
            who="Technician",
            what="has the shop answer again",
            clause="1.3",
            event="EmergencyResolved",
        )
        await self.admin.send(STEP, "POST", f"/notify/v1/on-call-shifts/{shift}/cancel")

    @property
    def _emergencies(self) -> str:
        return f"/contracts/v1/contracts/{self.contract_id}/emergencies"

    def _call(self) -> dict[str, str]:
        return {"server_id": self.server_id, "seen": SEEN, "channel": "portal"}

    async def _put_on_call(self, address: str) -> str:
        """Returns the shift's id."""
        subject = self.technician.claims["sub"]
        contact = {"email": address, "language": "en", "administrator": False}
        await self.admin.send(STEP, "PUT", f"/notify/v1/staff-contacts/{quote(subject, safe='')}", json=contact)
        now = await self._now("notify")
        shift = {"subject": subject, "position": 1, "starts_at": text_of(now), "ends_at": text_of(now + SHIFT)}
        added = await self.admin.send(STEP, "POST", "/notify/v1/on-call-shifts", json=shift)
        return str(added["id"])

    async def _page(self, emergency_id: str) -> Any:
        """The technician's page, once the mail server has it."""
        subject = self.technician.claims["sub"]

        async def look() -> list[Any]:
            pages = await self.technician.all(STEP, "/notify/v1/emergency-pages", emergency_id=emergency_id)
            return [page for page in pages if (page["subject"], page["status"]) == (subject, "delivered")]

        pages = await self.installation.until(STEP, look, bool, expected="a page that is delivered")
        require(STEP, len(pages) == 1, "one page", len(pages))
        require(STEP, pages[0]["reason"] == "on-call", "it to be for being on call", pages[0]["reason"])
        return pages[0]

    async def _called_in_vain(self) -> Row:
        refusal = await self.customer.refused(
            "calling technical support after the end",
            "POST",
            self._emergencies,
            status=409,
            code="NotServed",
            clause="3.4",
            json=self._call(),
        )
        return await self._refused("Customer", "calls technical support after the end", refusal.code, refusal.clause)
