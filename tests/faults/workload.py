"""Customers at the main job over HTTP, patient through trouble; every answer that they get is kept.

All choices, ids and keys come out of the printed seed, so a seed sends the same commands again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx

from deploy.demo.client import Installation, NothingThere, Person, instant
from shared.kit.auth import Role
from tests.simulation.agenda import Dice

PATIENCE_SECONDS = 120.0
COMMANDS_OF_A_CUSTOMER = 9
"""At least."""
PLAN = "essential-monthly-eur"
SOON = timedelta(seconds=2)
FILE = b"what the server would be missed for\n"

Choice = str
CHOICES: dict[Choice, float] = {"renew": 0.5, "renew-unpaid": 0.1, "stop": 0.2, "nothing": 0.2}
"""What a customer does in the window."""


@dataclass(frozen=True)
class Answered:
    """One command and its final answer; `key` is its idempotency key and the correlation id of all it causes."""

    verb: str
    customer_id: UUID
    key: str
    status: int
    body: Any
    attempts: int
    at: datetime

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True)
class GivenUp:
    """A command that got no answer while patience lasted: its effect may be there or not."""

    verb: str
    customer_id: UUID
    key: str
    why: str


@dataclass
class History:
    """What the clients of one workload know."""

    seed: int
    answers: list[Answered] = field(default_factory=list)
    given_up: list[GivenUp] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)

    def accepted(self, verb: str) -> list[Answered]:
        return [answer for answer in self.answers if answer.verb == verb and answer.accepted]

    def summary(self) -> str:
        repeated = sum(answer.attempts > 1 for answer in self.answers)
        return (
            f"seed {self.seed}: {len(self.answers)} answers, {repeated} after repeating, {len(self.given_up)} given up"
        )


class Refused(AssertionError):
    """A command that has to be accepted was not, or not answered at all."""


Reached = Callable[[str], Awaitable[None]]


async def _go_on(_phase: str) -> None:
    return None


class Workload:
    """`run` plays the whole term; a test may await `sign`, `open_windows`, `decide`, `end_terms` one by one instead."""

    def __init__(self, url: str, *, seed: int, customers: int, patience: float = PATIENCE_SECONDS) -> None:
        self.history = History(seed)
        self.deployment = Installation(url, patience=patience)
        self.deployment.http.event_hooks["request"].append(self._count)
        self.customers = [Customer(self, Dice(seed, f"customer/{number}"), number) for number in range(customers)]
        self.admin: Person
        self.auditor: Person

    async def __aenter__(self) -> Workload:
        self.admin = await self.deployment.person("admin", Role.ADMIN)
        self.auditor = await self.deployment.person("auditor", Role.FINANCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.deployment.http.aclose()

    async def go_on_at(self, url: str) -> None:
        """The installation has moved: everybody signs in there, and what they know they know."""
        await self.deployment.http.aclose()
        self.deployment = Installation(url, patience=self.deployment.patience)
        self.deployment.http.event_hooks["request"].append(self._count)
        await self.__aenter__()
        await self._all(Customer.sign_in)

    async def run(self, reached: Reached = _go_on) -> History:
        """`reached` is awaited with the name of each phase that is over."""
        for phase in (self.sign, self.open_windows, self.decide, self.end_terms):
            await phase()
            await reached(phase.__name__)
        return self.history

    async def sign(self) -> None:
        """Every customer registers, accepts, pays, is audited and is served."""
        await self._all(Customer.sign)

    async def open_windows(self) -> None:
        """The clock moves to where every decision window is open, and everybody is told."""
        await self._move_clock(max(customer.window_opens_at for customer in self.customers) + SOON)
        await self._all(Customer.wait_for_warning)

    async def decide(self) -> None:
        await self._all(Customer.decide)

    async def end_terms(self) -> None:
        """The clock moves past every period's end: who renewed and paid goes on, the others expire."""
        await self._move_clock(max(customer.ends_at for customer in self.customers) + SOON)
        await self._all(Customer.wait_for_end)

    async def command(
        self, person: Person, verb: str, customer_id: UUID, key: str, method: str, path: str, **options: Any
    ) -> Any:
        """Send until it is answered and keep the answer; the JSON of an accepted one. Raises Refused."""
        headers = {"x-correlation-id": key, **options.pop("headers", {})}
        headers |= {"idempotency-key": key} if method == "POST" else {}
        before = self.history.attempts[key]
        try:
            answer = await person.answer(method, path, headers=headers, **options)
        except NothingThere as nobody:
            self.history.given_up.append(GivenUp(verb, customer_id, key, str(nobody)))
            raise Refused(f"{verb} was not answered: {nobody}") from nobody
        body = _body(answer)
        attempts = self.history.attempts[key] - before
        kept = Answered(verb, customer_id, key, answer.status_code, body, attempts, datetime.now(UTC))
        self.history.answers.append(kept)
        if not kept.accepted:
            raise Refused(f"{verb} of {customer_id} was answered {kept.status}: {body}")
        return body

    async def _all(self, step: Callable[[Customer], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for customer in self.customers:
                tasks.create_task(step(customer))

    async def _move_clock(self, to: datetime) -> None:
        await self.deployment.move_clock(self.admin, to)

    async def _count(self, request: httpx.Request) -> None:
        if key := request.headers.get("x-correlation-id"):
            self.history.attempts[key] += 1


class Customer:
    """One customer's story. Now and then it sends a command again that was answered, under the same key."""

    def __init__(self, workload: Workload, dice: Dice, number: int) -> None:
        self._workload = workload
        self._dice = dice
        self.number = number
        self.id = self._new_id()
        self.language = dice.one_of({"en": 0.5, "zh": 0.5})
        self.zone = dice.one_of({"Europe/Berlin": 0.4, "Asia/Shanghai": 0.4, "America/New_York": 0.2})
        self.pays_in_parts = dice.falls(0.3)
        self.choice: Choice = dice.one_of(CHOICES)
        self.server_id = ""
        self.contract_id = ""
        self._backup = ""
        self.window_opens_at = self.ends_at = datetime.min.replace(tzinfo=UTC)
        self._commands = 0
        self._person: Person

    async def sign_in(self) -> None:
        self._person = await self._workload.deployment.person(
            f"customer-{self.number}", Role.CUSTOMER, customer_id=self.id
        )

    async def sign(self) -> None:
        await self.sign_in()
        own = f"/contracts/v1/customers/{self.id}"
        registration = {"name": f"Customer {self.number}", "language": self.language, "zone": self.zone}
        await self._post("register-customer", "/contracts/v1/customers", **registration)
        contact = {"email": f"customer-{self.number}@example.com", "language": self.language}
        await self._send("put-contact", "PUT", f"/notify/v1/customers/{self.id}/contact", json=contact)
        profile = f"/billing/v1/customers/{self.id}/billing-profile"
        await self._send("put-profile", "PUT", profile, json=_profile_of(self.number))
        server = await self._post("register-server", f"{own}/servers", name="shop", operating_system="Debian 12")
        self.server_id = server["id"]
        await self._put_file()
        draft = {"customer_id": str(self.id), "plan_code": PLAN, "server_ids": [self.server_id], "paper_bill": False}
        contract = await self._post("draft-contract", "/contracts/v1/contracts", **draft)
        self.contract_id = contract["id"]
        await self._post("accept-contract", f"{self._contract_path}/accept", **await self._word())
        await self._pay(1)
        contract = await self._contract_when("the service", lambda seen: seen["status"] == "active")
        self.window_opens_at = instant(contract["window"]["opens_at"])
        self.ends_at = instant(contract["window"]["closes_at"])
        await self._wait_for_backup()

    async def wait_for_warning(self) -> None:
        """The customer is warned of the end: the notice is there. And the server was backed up since."""

        async def look() -> Any:
            page = await self._person.get("the warning", "/notify/v1/notices", kind="service-expiring")
            return [notice["status"] for notice in page["items"]]

        await self._workload.deployment.until("the warning", look, bool, expected="a notice")
        await self._wait_for_backup()

    async def decide(self) -> None:
        if self.choice == "stop":
            await self._post("stop", f"{self._contract_path}/stop")
        if self.choice.startswith("renew"):
            await self._post("renew", f"{self._contract_path}/renew", **await self._word())
        if self.choice == "renew":
            await self._pay(2)
            await self._contract_when("the renewal", lambda seen: seen["periods"][-1]["payment_id"])

    async def wait_for_end(self) -> None:
        expected = ("active", 2) if self.choice == "renew" else ("expired", 1)
        await self._contract_when(
            f"the end after {self.choice}", lambda seen: (seen["status"], seen["current_period_index"]) == expected
        )

    @property
    def _contract_path(self) -> str:
        return f"/contracts/v1/contracts/{self.contract_id}"

    async def _pay(self, period: int) -> None:
        invoice = await self._invoice(period)
        total = invoice["total"]["minor"]
        parts = [total // 2, total - total // 2] if self.pays_in_parts else [total]
        for number, part in enumerate(parts, start=1):
            form = {
                "invoice_id": invoice["id"],
                "amount_minor": str(part),
                "currency": invoice["total"]["currency"],
                "channel": "portal",
                "bank_reference": f"MS-{self.number}-{period}-{number}-{self._workload.history.seed}",
            }
            fields = {name: (None, value) for name, value in form.items()}
            payment = await self._send("report-payment", "POST", "/billing/v1/payments", files=fields)
            path = f"/billing/v1/payments/{payment['id']}/approve"
            await self._send("approve-payment", "POST", path, person=self._workload.auditor)

    async def _invoice(self, period: int) -> Any:
        async def look() -> Any:
            found = await self._person.all("the invoice", "/billing/v1/invoices", contract_id=self.contract_id)
            return [one for one in found if one["period_index"] == period and one["status"] == "issued"]

        return (await self._workload.deployment.until("the invoice", look, bool, expected="an issued one"))[0]

    async def _put_file(self) -> None:
        """Backup knows no server until it has heard of it: a 404 until then."""
        path = f"/backup/v1/servers/{self.server_id}/files/notes.txt"
        known = f"/backup/v1/servers/{self.server_id}/files"

        async def look() -> int:
            return (await self._person.answer("GET", known)).status_code

        await self._workload.deployment.until("the server's folder", look, lambda code: code == 200, expected="200")
        headers = {"content-type": "application/octet-stream"}
        stored = await self._send("put-file", "PUT", path, content=FILE, headers=headers)
        if stored["sha256"] != sha256(FILE).hexdigest():
            raise Refused(f"another file was stored: {stored}")

    async def _wait_for_backup(self) -> None:
        """One more than the last that was waited for."""

        async def look() -> Any:
            page = await self._person.get("the backup", "/backup/v1/protections", contract_id=self.contract_id)
            return [one["last_success"]["run_id"] for one in page["items"] if one["last_success"]]

        def is_new(found: list[str]) -> bool:
            return found not in ([], [self._backup])

        [self._backup] = await self._workload.deployment.until("the backup", look, is_new, expected="a new one")

    async def _word(self) -> dict[str, str]:
        path = "/contracts/v1/agreements/current"
        offered = await self._person.get("the agreement", path, language=self.language)
        return {"agreement_version": offered["version"], "language": self.language, "text_sha256": offered["sha256"]}

    async def _contract_when(self, step: str, holds: Callable[[Any], object]) -> Any:
        async def look() -> Any:
            return await self._person.get(step, self._contract_path)

        return await self._workload.deployment.until(step, look, holds, expected="it of the contract")

    async def _post(self, verb: str, path: str, **body: Any) -> Any:
        return await self._send(verb, "POST", path, json={**body, "channel": "portal"})

    async def _send(self, verb: str, method: str, path: str, *, person: Person | None = None, **options: Any) -> Any:
        self._commands += 1
        key = f"{verb}-{self._new_id()}"
        sender = person or self._person
        times = 2 if self._dice.falls(0.2) else 1
        for _ in range(times):
            body = await self._workload.command(sender, verb, self.id, key, method, path, **options)
        return body

    def _new_id(self) -> UUID:
        return UUID(int=self._dice.random.getrandbits(128), version=4)


def _profile_of(number: int) -> dict[str, Any]:
    address = {"lines": [f"Speicherstadt {number}"], "city": "Hamburg", "postal_code": "20457", "country": "DE"}
    return {"legal_name": f"Customer {number} Ltd", "address": address, "channel": "portal"}


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError:
        return answer.text
