"""An application for remote backup (2.3): without one that was approved, nothing leaves for a remote place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.backup.domain.judgements import judgements
from services.backup.domain.restore import WRITTEN_CHANNELS
from shared.kernel.channels import check_written
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle

CLAUSE = "2.3"


class NoSuchApplication(NotFound):
    """There is no such application, or it is not yours."""


class NotServed(Conflict):
    """A server is backed up while its service is registered."""

    clause: ClassVar[str | None] = "3.2"


class AlreadyApplied(Conflict):
    """For this server an application stands already."""

    clause: ClassVar[str | None] = CLAUSE


class NoRemotePlace(Conflict):
    """This installation has no remote place to back up to: its operator sets MAINSTAY_BACKUP_REMOTE_REPOSITORIES."""

    clause: ClassVar[str | None] = CLAUSE


class IntervalUnknown(Conflict):
    """How often the agreement has remote backups made has not been told yet; the next period tells at the latest."""

    clause: ClassVar[str | None] = CLAUSE


class ApplicationStatus(StrEnum):
    APPLIED = "applied"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"


APPLIED, APPROVED, DECLINED, WITHDRAWN, ENDED = ApplicationStatus

APPLICATION_LIFECYCLE = Lifecycle[ApplicationStatus](
    "remote application",
    [
        ("approve", {APPLIED}, APPROVED),
        ("decline", {APPLIED}, DECLINED),
        ("withdraw", {APPLIED}, WITHDRAWN),
        ("end", {APPROVED}, ENDED),
    ],
)


class DeclineReason(StrEnum):
    TOO_LARGE = "too-large"
    NO_CAPACITY = "no-capacity"
    UNREACHABLE = "unreachable"
    UNLAWFUL = "unlawful"


@dataclass(eq=False, kw_only=True)
class RemoteApplication:
    """For one server under one contract; another contract needs another application."""

    id: UUID
    contract_id: UUID
    server_id: UUID
    customer_id: UUID
    agreement_version: str
    channel: str
    applied_by: str
    applied_at: datetime
    status: ApplicationStatus = APPLIED
    reason: DeclineReason | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    version: int = 1

    def approve(self, *, by: str, now: datetime) -> None:
        """Raises IllegalMove."""
        self.status = APPLICATION_LIFECYCLE.after("approve", self.status)
        self.decided_by, self.decided_at = by, now

    def decline(self, reason: DeclineReason, *, by: str, now: datetime) -> None:
        """Raises IllegalMove."""
        self.status = APPLICATION_LIFECYCLE.after("decline", self.status)
        self.reason, self.decided_by, self.decided_at = reason, by, now

    def give_up(self, now: datetime) -> None:
        """The customer takes it back, or ends what was approved; raises IllegalMove."""
        verb = "end" if self.status is APPROVED else "withdraw"
        self.status = APPLICATION_LIFECYCLE.after(verb, self.status)
        self.ended_at = now


def in_writing(channel: str) -> None:
    """Raises OralRequest."""
    check_written(channel, WRITTEN_CHANNELS)


@judgements.on("remote-application.decide")
def deciding(facts: Facts, _parameters: Facts) -> Verdict:
    """A server of a registered service that was applied for is backed up remotely unless the company says why not."""
    approved = facts["served"] and facts["every_hours"] is not None and facts["reason"] is None
    return Verdict("approved" if approved else "declined", CLAUSE)
