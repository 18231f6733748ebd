"""An attempt to deliver a notice: the mail server's answer as stored data, and how long to wait for the next."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.notify.domain.contact import Language

FIRST_DELAY = timedelta(seconds=2)
LONGEST_DELAY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(hours=72)
LONGEST_REPLY = 500


class Outcome(StrEnum):
    """`started` is all that is known of an attempt whose process died before it could say more."""

    STARTED = "started"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"


@dataclass(frozen=True)
class Answer:
    """What came of one attempt. `code` is None where there was no SMTP reply, and `reply` then names the trouble.

    `about_message`: the reply was to the message or its addresses. A 5xx to anything else (signing in,
    TLS) speaks of our own set-up and is tried again.
    """

    code: int | None
    reply: str
    about_message: bool = True

    @property
    def outcome(self) -> Outcome:
        if self.code is None or not self.about_message:
            return Outcome.DEFERRED
        if 200 <= self.code < 300:
            return Outcome.ACCEPTED
        return Outcome.REFUSED if self.code >= 500 else Outcome.DEFERRED

    @property
    def kept_reply(self) -> str:
        """One bounded line of printable text."""
        line = " ".join(self.reply.split())
        return "".join(character if character.isprintable() else "?" for character in line)[:LONGEST_REPLY]

    @property
    def reply_sha256(self) -> str:
        """Over `kept_reply`, so that the proof can be checked against what is kept."""
        return hashlib.sha256(self.kept_reply.encode()).hexdigest()


@dataclass(eq=False, kw_only=True)
class Attempt:
    """`at` and `answered_at` are instants of the business clock; `recipient` is personal data."""

    id: UUID
    notice_id: UUID
    at: datetime
    recipient: str
    language: Language
    outcome: Outcome = Outcome.STARTED
    smtp_code: int | None = None
    reply: str | None = None
    reply_sha256: str | None = None
    answered_at: datetime | None = None

    def conclude(self, answer: Answer, *, now: datetime) -> None:
        self.outcome, self.smtp_code, self.reply = answer.outcome, answer.code, answer.kept_reply
        self.reply_sha256, self.answered_at = answer.reply_sha256, now


def delay_after(tries: int) -> timedelta | None:
    """How long to wait after that many tries; None once the waits add up to GIVE_UP_AFTER."""
    waited = delay = timedelta()
    for number in range(tries):
        delay = min(FIRST_DELAY * 2 ** min(number, 20), LONGEST_DELAY)
        waited += delay
    return None if waited >= GIVE_UP_AFTER else delay
