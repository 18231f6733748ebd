"""A line of the timeline, and the few questions that every step asks."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.demo.client import StepFailed, instant


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


def require(step: str, holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise StepFailed(step, expected=expected, got=str(got)[:300])


def expect_status(step: str, thing: Any, status: str) -> None:
    reason = f" ({thing['reason']})" if thing.get("reason") else ""
    require(step, thing["status"] == status, f"status {status}", f"{thing['status']}{reason}")


def minute(text: str) -> str:
    return f"{instant(text):%Y-%m-%d %H:%M}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
