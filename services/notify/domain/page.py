"""A page: one call to one person because of an emergency that nobody has acknowledged yet (1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.notify.domain.attempt import Answer, Outcome
from services.notify.domain.contact import Language
from shared.kernel.lifecycle import Lifecycle

FIRST_DELAY = timedelta(seconds=2)
LONGEST_DELAY = timedelta(seconds=30)
MOST_TRIES = 8
"""Two minutes and a half: by then somebody else is to be called."""


class PageReason(StrEnum):
    """Why this person: on call, or an administrator because nobody is, nobody answers, or a page did not arrive."""

    ON_CALL = "on-call"
    NOBODY_ON_CALL = "nobody-on-call"
    NOBODY_ANSWERS = "nobody-answers"
    NOT_DELIVERED = "not-delivered"


class PageStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"


PENDING, DELIVERED, FAILED, DROPPED = PageStatus

PAGE_LIFECYCLE = Lifecycle[PageStatus](
    "page",
    [
        ("deliver", {PENDING}, DELIVERED),
        ("fail", {PENDING}, FAILED),
        ("drop", {PENDING}, DROPPED),
    ],
)


@dataclass(eq=False, kw_only=True)
class Call:
    """An emergency as far as it has been heard of; `facts` are what its pages say. `escalation` 0 is the first call.

    `ended_at`: somebody acknowledged it, or it was called off.
    """

    emergency_id: UUID
    customer_id: UUID
    agreement_version: str
    facts: dict[str, Any]
    escalation: int
    called_at: datetime
    ended_at: datetime | None = None

    @property
    def is_under_way(self) -> bool:
        return self.ended_at is None


@dataclass(eq=False, kw_only=True)
class Page:
    id: UUID
    emergency_id: UUID
    escalation: int
    subject: str
    reason: PageReason
    created_at: datetime
    status: PageStatus = PENDING
    tries: int = 0
    smtp_code: int | None = None
    reply_sha256: str | None = None
    settled_at: datetime | None = None
    version: int = 1

    def settle(self, answer: Answer, *, now: datetime) -> timedelta | None:
        """How long to wait before the next try; None when it is delivered or has failed."""
        self.smtp_code, self.reply_sha256 = answer.code, answer.reply_sha256
        if answer.outcome is Outcome.ACCEPTED:
            self.status, self.settled_at = PAGE_LIFECYCLE.after("deliver", self.status), now
        elif answer.outcome is Outcome.REFUSED or self.tries >= MOST_TRIES:
            self.status, self.settled_at = PAGE_LIFECYCLE.after("fail", self.status), now
        else:
            return min(FIRST_DELAY * 2.0 ** (self.tries - 1), LONGEST_DELAY)
        return None

    def fail(self, now: datetime) -> None:
        """This person is reached nowhere; raises IllegalMove."""
        self.status, self.settled_at = PAGE_LIFECYCLE.after("fail", self.status), now

    def drop(self, now: datetime) -> None:
        """Nobody needs to be called any more; raises IllegalMove."""
        self.status, self.settled_at = PAGE_LIFECYCLE.after("drop", self.status), now


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """`email` is personal data."""

    email: str
    language: Language
