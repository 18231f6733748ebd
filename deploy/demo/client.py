"""Signed-in callers of a running installation, patient where it may be away for a moment, and exact about answers."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx

from shared.kit.auth import Role
from shared.kit.http_transport import direct_client

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
ANSWER_SECONDS = 20.0
_AWAY = frozenset({502, 503, 504})
_PASSING = frozenset({"StillRunning", "LockedByAnother"})
CLOCK_ORDER = ("backup", "notify", "billing", "contracts")
"""contracts is last: when it tells what became due, the others already live at that time."""


class StepFailed(Exception):
    """A step of the story does not hold."""

    def __init__(self, step: str, *, expected: str, got: str) -> None:
        super().__init__(f"{step}: expected {expected}, got {got}")
        self.step, self.expected, self.got = step, expected, got


class NoVirtualClock(Exception):
    """The installation runs on the system clock, so no term can be played on it."""


class NothingThere(Exception):
    """No Mainstay answers at this address."""


class NoToken(Exception):
    """Nobody can be signed in there."""


@dataclass(frozen=True)
class Problem:
    """An RFC 9457 answer."""

    status: int
    code: str
    title: str
    detail: str
    clause: str | None


class Installation:
    """One running Mainstay by its address."""

    def __init__(
        self, url: str, *, tokens: Mapping[str, str] | None = None, patience: float = PATIENCE_SECONDS
    ) -> None:
        """`tokens`: given ones, by person; `patience`: seconds to wait for a condition or an absent part."""
        self.url = url.rstrip("/")
        self.patience = patience
        self._tokens = dict(tokens or {})
        self.http = direct_client(base_url=self.url, timeout=ANSWER_SECONDS)

    async def __aenter__(self) -> Installation:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def person(
        self, name: str, role: Role, *, customer_id: UUID | None = None, partner_id: UUID | None = None
    ) -> Person:
        """Somebody signed in: with the token given for `name`, or one of the development issuer."""
        token = self._tokens.get(name) or await self._token_of_issuer(name, role, customer_id, partner_id)
        return Person(self, name, token)

    def has_token(self, name: str) -> bool:
        return name in self._tokens

    async def _token_of_issuer(self, name: str, role: Role, customer_id: UUID | None, partner_id: UUID | None) -> str:
        form = {"grant_type": "client_credentials", "role": role.value, "subject": f"demo-{name}"}
        form |= {"customer_id": str(customer_id)} if customer_id else {}
        form |= {"partner_id": str(partner_id)} if partner_id else {}
        answer = await self.patiently("POST", "/dev-issuer/token", data=form)
        if not answer.is_success:
            raise NoToken(
                f"{self.url} has no development issuer: give MAINSTAY_DEMO_TOKEN_{name.upper()} (role {role.value})."
            )
        return str(answer.json()["access_token"])

    async def patiently(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send until something answers that is there; the same key makes repeating a command safe."""
        deadline = time.monotonic() + self.patience
        pause = LOOK_EVERY_SECONDS
        while True:
            answer: httpx.Response | None
            try:
                answer = await self.http.request(method, path, **options)
                trouble = f"{answer.status_code} of {path}"
                if answer.status_code not in _AWAY and not (answer.status_code == 409 and _code(answer) in _PASSING):
                    return answer
            except httpx.TransportError as error:
                answer, trouble = None, f"{type(error).__name__} at {path}"
            if time.monotonic() > deadline:
                if answer is not None:
                    return answer
                raise NothingThere(f"{self.url} does not answer ({trouble}).")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def until(
        self, step: str, look: Callable[[], Awaitable[T]], holds: Callable[[T], object], *, expected: str
    ) -> T:
        """Look until it holds; raises StepFailed with what was last seen when patience ends."""
        deadline = time.monotonic() + self.patience
        while True:
            seen = await look()
            if holds(seen):
                return seen
            if time.monotonic() > deadline:
                raise StepFailed(step, expected=f"{expected} within {self.patience:.0f} s", got=_brief(seen))
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def clock(self, service: str = "contracts") -> datetime:
        """The service's present instant; raises NoVirtualClock."""
        answer = await self.patiently("GET", f"/{service}/v1/clock")
        if answer.status_code == 404:
            raise NoVirtualClock(
                f"{self.url} runs on the system clock; start one that can be moved: MAINSTAY_CLOCK=virtual make run"
            )
        return instant(answer.json()["now"])

    async def move_clock(self, admin: Person, to: datetime) -> None:
        """Move every service's time to `to`; one that is there already or beyond is left."""
        for service in CLOCK_ORDER:
            if await self.clock(service) >= to:
                continue
            answer = await admin.answer("POST", f"/{service}/v1/clock", json={"to": text_of(to)})
            # A slow machine may have passed that instant by itself since it was asked.
            if not answer.is_success and _code(answer) != "ClockGoesForward":
                raise StepFailed(f"moving the clock of {service}", expected="it to be accepted", got=_said(answer))


class Person:
    """A signed-in caller; every call names the step it belongs to."""

    def __init__(self, installation: Installation, name: str, token: str) -> None:
        self._installation = installation
        self.name = name
        self._token = token
        self.claims = _claims(token)

    @property
    def customer_id(self) -> UUID:
        return UUID(self.claims["customer_id"])

    @property
    def partner_id(self) -> UUID:
        return UUID(self.claims["partner_id"])

    async def answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}", **options.pop("headers", {})}
        if method == "POST":
            headers.setdefault("idempotency-key", str(uuid4()))
        return await self._installation.patiently(method, path, headers=headers, **options)

    async def send(self, step: str, method: str, path: str, **options: Any) -> Any:
        """The JSON of a successful answer; raises StepFailed."""
        answer = await self.answer(method, path, **options)
        if not answer.is_success:
            raise StepFailed(step, expected="it to be accepted", got=_said(answer))
        return answer.json() if answer.content else None

    async def get(self, step: str, path: str, **parameters: Any) -> Any:
        return await self.send(step, "GET", path, params=parameters)

    async def all(self, step: str, path: str, **parameters: Any) -> list[Any]:
        """Every item of a paged list."""
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.send(step, "GET", path, params={"limit": 200, **parameters, **cursor})
            items += page["items"]
            if not page.get("next_cursor"):
                return items
            cursor = {"cursor": page["next_cursor"]}

    async def refused(
        self, step: str, method: str, path: str, *, status: int, code: str, clause: str | None = None, **options: Any
    ) -> Problem:
        """The problem of a refusal that must be exactly this one; raises StepFailed."""
        answer = await self.answer(method, path, **options)
        expected = f"refusal {status} {code}" + (f" by clause {clause}" if clause else "")
        problem = _problem(answer)
        if problem is None or (problem.status, problem.code, problem.clause) != (status, code, clause):
            raise StepFailed(step, expected=expected, got=_said(answer))
        return problem


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def text_of(moment: datetime) -> str:
    return moment.isoformat()


def _problem(answer: httpx.Response) -> Problem | None:
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    said = answer.json()
    return Problem(answer.status_code, said["code"], said["title"], said["detail"], said.get("clause"))


def _code(answer: httpx.Response) -> str | None:
    problem = _problem(answer)
    return problem.code if problem else None


def _said(answer: httpx.Response) -> str:
    problem = _problem(answer)
    if problem is None:
        return f"{answer.status_code} from {answer.request.url.path}"
    clause = f" by clause {problem.clause}" if problem.clause else ""
    return f"refusal {problem.status} {problem.code}{clause} ({problem.detail})"


def _brief(seen: object) -> str:
    text = json.dumps(seen, default=str, ensure_ascii=False) if not isinstance(seen, str) else seen
    return text if len(text) <= 300 else f"{text[:300]}…"


def _claims(token: str) -> dict[str, Any]:
    """What the token says; the services verify it, this only reads it."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
