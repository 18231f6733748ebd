"""Bringing one file back out of a snapshot, measured against the agreement's target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.backup.domain.judgements import judgements
from services.backup.domain.protection import CLAUSE, Protection
from services.backup.domain.run import SUCCEEDED, Run
from services.backup.domain.source_path import source_path
from shared.kernel.channels import check_written
from shared.kernel.errors import Conflict, Gone, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle

# The agreement's written channels (3.1); the facts of the contracts service do not carry the parameter.
WRITTEN_CHANNELS = ("portal", "api", "email")
CONTENT_KEPT_FOR = timedelta(days=7)


class RestoreStatus(StrEnum):
    REQUESTED = "requested"
    COMPLETED = "completed"
    FAILED = "failed"
    DISCARDED = "discarded"


REQUESTED, COMPLETED = RestoreStatus.REQUESTED, RestoreStatus.COMPLETED
FAILED, DISCARDED = RestoreStatus.FAILED, RestoreStatus.DISCARDED

RESTORE_LIFECYCLE = Lifecycle(
    "restore",
    [
        ("complete", {REQUESTED}, COMPLETED),
        ("fail", {REQUESTED}, FAILED),
        ("discard", {COMPLETED}, DISCARDED),
    ],
)


class RestoreFailure(StrEnum):
    NOT_IN_SNAPSHOT = "not-in-snapshot"
    DATA_DELETED = "data-deleted"
    RESTIC_FAILED = "restic-failed"


class NoSuchRestore(NotFound):
    """There is no such restore, or it is not yours."""


class NothingToRestore(Conflict):
    """This server has no completed backup to restore from."""

    clause = CLAUSE


class NotRestored(Conflict):
    """This restore has no content: it is still being worked on, or it failed."""


class ContentDiscarded(Gone):
    """The restored file is no longer kept; ask for it again."""


@dataclass(eq=False, kw_only=True)
class Restore:
    """`due_at` is the agreement's target; `path` is relative to the server's folder."""

    id: UUID
    protection_id: UUID
    run_id: UUID
    server_id: UUID
    customer_id: UUID
    path: str
    channel: str
    requested_at: datetime
    due_at: datetime
    status: RestoreStatus = REQUESTED
    reason: RestoreFailure | None = None
    sha256: str | None = None
    bytes: int | None = None
    finished_at: datetime | None = None
    within_target: bool | None = None
    version: int = 0

    @property
    def filename(self) -> str:
        return self.path.rpartition("/")[2]

    def complete(self, *, sha256: str, bytes: int, now: datetime) -> None:
        self.status = RESTORE_LIFECYCLE.after("complete", self.status)
        self.sha256, self.bytes, self.finished_at = sha256, bytes, now
        self.within_target = now <= self.due_at

    def fail(self, reason: RestoreFailure, now: datetime) -> None:
        self.status = RESTORE_LIFECYCLE.after("fail", self.status)
        self.reason, self.finished_at = reason, now

    def discard(self) -> None:
        """The restored copy is deleted; the backup it came from stays."""
        self.status = RESTORE_LIFECYCLE.after("discard", self.status)

    def require_content(self) -> None:
        """Raises ContentDiscarded, NotRestored."""
        if self.status == DISCARDED:
            raise ContentDiscarded()
        if self.status != COMPLETED:
            raise NotRestored(state=str(self.status), reason=self.reason)


def request_restore(
    restore_id: UUID, protection: Protection, run: Run, *, path: str, channel: str, now: datetime
) -> Restore:
    """Raises OralRequest, UnusablePath, DataNoLongerKept, NothingToRestore."""
    version = protection.terms.agreement_version
    check_written(channel, WRITTEN_CHANNELS, agreement_version=version)
    protection.require_data()
    if run.status != SUCCEEDED:
        raise NothingToRestore(f"That run is {run.status}.", agreement_version=version)
    return Restore(
        id=restore_id,
        protection_id=protection.id,
        run_id=run.id,
        server_id=protection.server_id,
        customer_id=protection.customer_id,
        path=source_path(path),
        channel=channel,
        requested_at=now,
        due_at=now + timedelta(hours=protection.terms.restore_target_hours),
    )


@judgements.on("restore.conclude")
def concluding(facts: Facts, parameters: Facts) -> Verdict:
    """Files came back within the agreement's target, later, or not at all (2.2)."""
    if facts["reason"] is not None:
        return Verdict("failed", CLAUSE)
    took = datetime.fromisoformat(facts["finished_at"]) - datetime.fromisoformat(facts["requested_at"])
    within_target = took <= timedelta(hours=parameters["restore_target_hours"])
    return Verdict("within-target" if within_target else "late", CLAUSE)
