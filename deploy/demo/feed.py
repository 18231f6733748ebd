"""What the partner reads: its cursor feed, gathered as the story goes and compared with it at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from deploy.demo.client import Installation, Person, StepFailed
from shared.events.registry import BY_TYPE

STEP = "reading the partner's feed"
PAGE = 200
CONTRACT_STORY = (
    "contract-accepted",
    "service-registered",
    "service-expiring",
    "renewal-requested",
    "service-renewed",
    "service-expiring",
    "service-expired",
)
"""Events of one aggregate arrive in the order in which they happened."""
UNCOUNTED = frozenset({"customer-registered", "backup-failed"})
"""Told around the time of the linking; and told when a backup is interrupted, before it is made again."""


class Feed:
    """Facts about one customer in one partner's feed."""

    def __init__(self, partner: Person, customer_id: UUID) -> None:
        self._partner = partner
        self._customer_id = str(customer_id)
        self._cursor: str | None = None
        self._sequence: int | None = None
        self._expected: Counter[str] = Counter()
        self.events: list[dict[str, Any]] = []

    async def begin(self) -> None:
        """Go to the end of what is there, so that an older story of the same partner is not read again."""
        await self.read()
        self.events.clear()

    def expect(self, kind: str, *, times: int = 1) -> None:
        """The partner is going to read this fact so many more times."""
        self._expected[kind] += times

    async def read(self) -> None:
        """Read on to the end, checking that no sequence number is left out."""
        while True:
            cursor = {"cursor": self._cursor} if self._cursor else {}
            page = await self._partner.get(STEP, "/notify/v1/events", limit=PAGE, **cursor)
            for event in page["items"]:
                self._take(event)
            self._cursor = page["next_cursor"]
            if len(page["items"]) < PAGE:
                return

    def _take(self, event: dict[str, Any]) -> None:
        sequence = int(event["sequence"])
        if self._sequence is not None and sequence != self._sequence + 1:
            raise StepFailed(STEP, expected=f"sequence {self._sequence + 1}", got=str(sequence))
        self._sequence = sequence
        fact = BY_TYPE.get(event["type"])
        if fact is None or fact.for_partners is None:
            raise StepFailed(STEP, expected="public facts only", got=event["type"])
        shown = set(event["data"]) - fact.for_partners - {"customer_id"}
        if shown:
            raise StepFailed(STEP, expected="redacted facts", got=f"{event['type']} with {sorted(shown)}")
        if event["data"]["customer_id"] == self._customer_id:
            self.events.append(event)

    async def compare(
        self, installation: Installation, contract_id: str, completed_backups: Callable[[], Awaitable[int]]
    ) -> int:
        """Wait until the partner has read exactly what happened; returns how many facts; raises StepFailed."""

        async def look() -> dict[str, int]:
            await self.read()
            # A run that was at work when its protection ended still counts once it is proven.
            self._expected["backup-completed"] = await completed_backups()
            return self._difference()

        await installation.until(
            STEP, look, lambda difference: not difference, expected="every fact of the story, once (missing +, extra -)"
        )
        story = [_kind(event) for event in self.events if event["subject"] == contract_id]
        if tuple(story) != CONTRACT_STORY:
            raise StepFailed(STEP, expected=" → ".join(CONTRACT_STORY), got=" → ".join(story))
        return len(self.events)

    def _difference(self) -> dict[str, int]:
        read = Counter(_kind(event) for event in self.events)
        kinds = (set(read) | set(self._expected)) - UNCOUNTED
        return {kind: self._expected[kind] - read[kind] for kind in kinds if self._expected[kind] != read[kind]}


def _kind(event: dict[str, Any]) -> str:
    return BY_TYPE[event["type"]].kind
