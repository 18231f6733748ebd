"""One backup of one server for one slot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.kernel.errors import NotFound
from shared.kernel.lifecycle import Lifecycle


class RunStatus(StrEnum):
    DUE = "due"
    FAILED = "failed"
    MISSED = "missed"
    SUCCEEDED = "succeeded"


DUE, FAILED, MISSED, SUCCEEDED = RunStatus.DUE, RunStatus.FAILED, RunStatus.MISSED, RunStatus.SUCCEEDED
OPEN = frozenset({DUE, FAILED})
"""Still to be done: now, or again."""

# A run whose slot was given up may have been at work meanwhile: its snapshot counts, its failure changes nothing.
RUN_LIFECYCLE = Lifecycle(
    "run",
    [
        ("succeed", {DUE, FAILED, MISSED}, SUCCEEDED),
        ("fail", {DUE, FAILED}, FAILED),
        ("fail", {MISSED}, MISSED),
        ("give_up", {DUE, FAILED}, MISSED),
    ],
)


class Reason(StrEnum):
    """Why a run did not succeed so far."""

    NOTHING_TO_BACK_UP = "nothing-to-back-up"
    RESTIC_FAILED = "restic-failed"
    NOT_FOUND_AGAIN = "not-found-again"
    SAMPLE_DIFFERS = "sample-differs"
    RESTIC_MISSING = "restic-missing"


class NoSuchRun(NotFound):
    """There is no such run, or it is not yours."""


@dataclass(frozen=True)
class Sample:
    """A source file and its hash before the backup; `expected_files` is how many files there were."""

    path: str
    sha256: str
    expected_files: int


@dataclass(eq=False, kw_only=True)
class Run:
    id: UUID
    protection_id: UUID
    server_id: UUID
    customer_id: UUID
    slot_at: datetime
    status: RunStatus = DUE
    reason: Reason | None = None
    attempts: int = 0
    sample: Sample | None = None
    snapshot_id: str | None = None
    files: int | None = None
    bytes: int | None = None
    failed_at: datetime | None = None
    completed_at: datetime | None = None
    version: int = 0

    @property
    def tag(self) -> str:
        """What the run's snapshot is found again by."""
        return f"run:{self.id}"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    def intend(self, sample: Sample) -> None:
        """Keep what the backup is going to be checked against, before it is made."""
        self.sample = sample

    def succeed(self, *, snapshot_id: str, files: int, bytes: int, now: datetime) -> None:
        self.status = RUN_LIFECYCLE.after("succeed", self.status)
        self.snapshot_id, self.files, self.bytes = snapshot_id, files, bytes
        self.completed_at, self.reason = now, None
        self.attempts += 1

    def fail(self, reason: Reason, now: datetime) -> bool:
        """True when the reason is new, so that a failure is told once and not at every attempt."""
        self.status = RUN_LIFECYCLE.after("fail", self.status)
        is_new = reason != self.reason
        self.reason, self.failed_at = reason, now
        self.attempts += 1
        return is_new

    def give_up(self) -> None:
        """The next slot is due, or the protection ended: this one is not tried again."""
        self.status = RUN_LIFECYCLE.after("give_up", self.status)
