"""An incident on a server: reported, its cause determined, decided, and at most once appealed against."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from services.contracts.domain.liability import DURING_MAINTENANCE, Cause, Liability
from shared.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shared.kernel.lifecycle import Lifecycle


class NoSuchIncident(NotFound):
    """There is no such incident, or it is not yours."""


class OutsideTheService(Invalid):
    """An incident lies between the service's beginning and now."""


class OutsideTheIncident(Invalid):
    """A recovery attempt lies between the incident and now."""


class WorkMissing(Invalid):
    """What happened during maintenance names the work that was in progress."""

    clause: ClassVar[str | None] = "2.1"


class FoundInTheFuture(Invalid):
    """A finding was made by now."""


class AlreadyAppealed(Conflict):
    """A decision is appealed against once."""


class OwnDecision(Forbidden):
    """An appeal is decided by somebody else than the first decision."""


class IncidentStatus(StrEnum):
    REPORTED = "reported"
    DECIDED = "decided"
    APPEALED = "appealed"
    CONCLUDED = "concluded"


REPORTED, DECIDED, APPEALED, CONCLUDED = IncidentStatus

INCIDENT_LIFECYCLE = Lifecycle[IncidentStatus](
    "incident",
    [
        ("determine", {REPORTED}, REPORTED),
        ("record", {REPORTED}, REPORTED),
        # While an appeal is open more may come back, or be tried.
        ("record", {APPEALED}, APPEALED),
        ("decide", {REPORTED}, DECIDED),
        ("appeal", {DECIDED}, APPEALED),
        ("conclude", {APPEALED}, CONCLUDED),
    ],
)


class FindingKind(StrEnum):
    """What was looked at; the thing itself is kept elsewhere and named by its SHA-256."""

    SYSTEM_LOG = "system-log"
    ACCESS_LOG = "access-log"
    MONITORING = "monitoring"
    INSPECTION = "inspection"
    BACKUP_RUN = "backup-run"
    PROVIDER_STATEMENT = "provider-statement"
    CUSTOMER_STATEMENT = "customer-statement"


@dataclass(frozen=True, kw_only=True)
class Finding:
    kind: FindingKind
    sha256: str
    found_at: datetime

    def shown(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "sha256": self.sha256, "found_at": self.found_at.isoformat()}


class AttemptOutcome(StrEnum):
    RECOVERED = "recovered"
    PARTLY_RECOVERED = "partly-recovered"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class RecoveryAttempt:
    """Never changed once recorded (2.1)."""

    id: UUID
    incident_id: UUID
    method: str
    outcome: AttemptOutcome
    attempted_at: datetime
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True, kw_only=True)
class Determination:
    """What a technician found; None for a cause that is still undetermined. Facts that we know are not in it."""

    cause: Cause | None
    data_lost: bool
    work_request_id: UUID | None = None
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if (self.cause in DURING_MAINTENANCE) != (self.work_request_id is not None):
            raise WorkMissing(
                "Name the work with a cause that lies in maintenance, and with no other.", field="work_request_id"
            )


UNDETERMINED = Determination(cause=None, data_lost=False)


@dataclass(eq=False, kw_only=True)
class Incident:
    """`seen` and `appeal_reason` are people's own words; they stay in the row. `period_index` and
    `agreement_version` are those of when it happened; `liability` and `clause` those of the last decision."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    period_index: int
    agreement_version: str
    happened_at: datetime
    seen: str
    channel: str
    reported_at: datetime
    reported_by: str
    status: IncidentStatus = REPORTED
    determination: Determination = UNDETERMINED
    determined_at: datetime | None = None
    determined_by: str | None = None
    liability: Liability | None = None
    clause: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    appealed_at: datetime | None = None
    appealed_by: str | None = None
    appeal_reason: str | None = None
    concluded_at: datetime | None = None
    concluded_by: str | None = None
    attempts: list[RecoveryAttempt] = field(default_factory=list)
    version: int = 1

    @property
    def recovered(self) -> bool:
        return any(attempt.outcome is AttemptOutcome.RECOVERED for attempt in self.attempts)

    def determine(self, determination: Determination, *, by: str, now: datetime) -> None:
        """Raises FoundInTheFuture, and IllegalMove once it is decided."""
        self.status = INCIDENT_LIFECYCLE.after("determine", self.status)
        self._take(determination, by, now)

    def record(self, attempt: RecoveryAttempt, *, now: datetime) -> None:
        """Keep a recovery attempt; raises IllegalMove, OutsideTheIncident."""
        self.status = INCIDENT_LIFECYCLE.after("record", self.status)
        if not self.happened_at <= attempt.attempted_at <= now:
            raise OutsideTheIncident(field="attempted_at")
        self.attempts.append(attempt)

    def check_decidable(self) -> None:
        """Raises IllegalMove."""
        INCIDENT_LIFECYCLE.after("decide", self.status)

    def decide(self, liability: Liability, clause: str, *, by: str, now: datetime) -> None:
        """Raises IllegalMove."""
        self.status = INCIDENT_LIFECYCLE.after("decide", self.status)
        self.liability, self.clause = liability, clause
        self.decided_by, self.decided_at = by, now

    def appeal(self, reason: str, *, by: str, now: datetime) -> None:
        """The customer's word against the decision; raises AlreadyAppealed, and IllegalMove where there is none."""
        if self.appealed_at is not None:
            raise AlreadyAppealed(
                f"It was appealed against at {self.appealed_at.isoformat()}.",
                agreement_version=self.agreement_version,
                appealed_at=self.appealed_at.isoformat(),
            )
        self.status = INCIDENT_LIFECYCLE.after("appeal", self.status)
        self.appeal_reason, self.appealed_by, self.appealed_at = reason, by, now

    def check_may_conclude(self, by: str) -> None:
        """Raises IllegalMove, OwnDecision."""
        INCIDENT_LIFECYCLE.after("conclude", self.status)
        if by == self.decided_by:
            raise OwnDecision(agreement_version=self.agreement_version)

    def reconsider(self, determination: Determination, *, by: str, now: datetime) -> None:
        """Who decides the appeal may find another cause; raises IllegalMove, OwnDecision, FoundInTheFuture."""
        self.check_may_conclude(by)
        self._take(determination, by, now)

    def conclude(self, liability: Liability, clause: str, *, by: str, now: datetime) -> None:
        """The last word; raises IllegalMove, OwnDecision."""
        self.check_may_conclude(by)
        self.status = INCIDENT_LIFECYCLE.after("conclude", self.status)
        self.liability, self.clause = liability, clause
        self.concluded_by, self.concluded_at = by, now

    def _take(self, determination: Determination, by: str, now: datetime) -> None:
        for place, finding in enumerate(determination.findings):
            if finding.found_at > now:
                raise FoundInTheFuture(field=f"findings.{place}.found_at")
        self.determination = determination
        self.determined_by, self.determined_at = by, now
