"""What every chapter of the story has at hand: the people, the clock, and the things that came to be so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from deploy.demo.client import Installation, Person
from deploy.demo.feed import Feed
from deploy.demo.rows import Row, require, sha256

SOON = timedelta(seconds=1)


def _no_news(_what: str) -> None:
    return None


@dataclass
class Stage:
    """`busy` hears what is being waited for. What the story makes is kept here, and may be looked at afterwards."""

    installation: Installation
    busy: Callable[[str], None] = _no_news
    email: str = field(default_factory=lambda: f"ops-{uuid4().hex[:8]}@harbour-books.example")

    admin: Person = field(init=False)
    customer: Person = field(init=False)
    stranger: Person = field(init=False)
    clerk: Person = field(init=False)
    auditor: Person = field(init=False)
    partner: Person = field(init=False)
    technician: Person = field(init=False)
    feed: Feed = field(init=False)
    server_id: str = field(init=False)
    plan: dict[str, Any] = field(init=False)
    contract_id: str = field(init=False)
    version: str = field(init=False)
    protection_id: str = field(init=False)
    remote_protection_id: str | None = None
    """None where the application for remote backup was declined, as there is no remote place."""
    run_id: str = field(init=False)
    ended_at: datetime = field(init=False)

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

    async def _contact(self, language: str) -> None:
        await self.customer.send(
            "keeping the contact",
            "PUT",
            f"/notify/v1/customers/{self.customer.customer_id}/contact",
            json={"email": self.email, "language": language},
        )

    async def _word(self, language: str) -> dict[str, str]:
        """What names the exact text that is offered now; the hash is computed here, from the text."""
        offered = await self.customer.get(
            "reading the agreement", "/contracts/v1/agreements/current", language=language
        )
        digest = sha256(offered["text"].encode())
        require("reading the agreement", digest == offered["sha256"], f"SHA-256 {digest}", offered["sha256"])
        return {
            "agreement_version": offered["version"],
            "language": language,
            "text_sha256": digest,
            "channel": "portal",
        }

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
        require(step, len(found) == count, f"{count}, once per period", len(found))
        return found

    async def _proof(self, notice: Any, language: str) -> Any:
        step = "proving the delivery"
        detail = await self.customer.get(step, f"/notify/v1/notices/{notice['id']}")
        attempt = detail["attempts"][-1]
        require(step, attempt["smtp_code"] == 250, "the mail server's 250", attempt)
        require(step, attempt["language"] == language, f"language {language}", attempt["language"])
        require(
            step,
            attempt["reply_sha256"] == sha256(attempt["reply"].encode()),
            "the reply's SHA-256",
            attempt["reply_sha256"],
        )
        return attempt

    async def _mail(self, subject: str, *, to: str | None = None) -> str:
        """What to say about the e-mail as it arrived, where this installation has a mailbox to look into.

        `to`: whose, the customer's unless it is said.
        """
        answer = await self.installation.patiently("GET", "/mailbox/messages", params={"to": to or self.email})
        if answer.status_code == 404:
            return ""
        subjects = [message["subject"] for message in answer.json()["items"]]
        found = next((one for one in subjects if subject in one), None)
        require("reading the mailbox", found is not None, f"an e-mail about {subject!r}", subjects)
        return f": “{found}”"
