"""An emergency on a server (1.3): open day and night, passed on until somebody acknowledges it, and resolved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.judgements import judgements
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle


class NoSuchEmergency(NotFound):
    """There is no such emergency, or it is not yours."""


class NotServed(Conflict):
    """Emergencies are answered while the service is registered and paid, or extended."""

    clause: ClassVar[str | None] = "3.4"


class WorkNotNamed(Invalid):
    """The work that goes on with it is named with the outcome `work-requested`, and with no other."""


class AlreadyAnEmergency(Conflict):
    """An emergency of this server is open already."""

    clause: ClassVar[str | None] = "1.3"


class EmergencyStatus(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


OPEN, ACKNOWLEDGED, RESOLVED, WITHDRAWN = EmergencyStatus
UNDER_WAY = frozenset({OPEN, ACKNOWLEDGED})

EMERGENCY_LIFECYCLE = Lifecycle[EmergencyStatus](
    "emergency",
    [
        ("escalate", {OPEN}, OPEN),
        ("acknowledge", {OPEN}, ACKNOWLEDGED),
        ("resolve", {ACKNOWLEDGED}, RESOLVED),
        ("withdraw", UNDER_WAY, WITHDRAWN),
    ],
)


class Outcome(StrEnum):
    """How it was resolved: put right, waiting for ordinary work, the customer's or a third party's, or none at all."""

    RESTORED = "restored"
    WORK_REQUESTED = "work-requested"
    NOT_OURS = "not-ours"
    FALSE_ALARM = "false-alarm"


@dataclass(eq=False, kw_only=True)
class Emergency:
    """`seen` and `log` are people's own words and stay in the row. `escalations`: how often it was passed on."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    period_index: int
    agreement_version: str
    seen: str
    channel: str
    reported_at: datetime
    reported_by: str
    acknowledge_by: datetime
    status: EmergencyStatus = OPEN
    escalations: int = 0
    escalated_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    outcome: Outcome | None = None
    log: str | None = None
    work_request_id: UUID | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    version: int = 1

    @property
    def passed_on_at(self) -> datetime:
        """When somebody was called last."""
        return self.escalated_at or self.reported_at

    def escalate(self, now: datetime) -> None:
        """Raises IllegalMove."""
        self.status = EMERGENCY_LIFECYCLE.after("escalate", self.status)
        self.escalations, self.escalated_at = self.escalations + 1, now

    def acknowledge(self, *, by: str, now: datetime) -> None:
        """Raises IllegalMove, also for whoever comes second."""
        self.status = EMERGENCY_LIFECYCLE.after("acknowledge", self.status)
        self.acknowledged_by, self.acknowledged_at = by, now

    def resolve(self, outcome: Outcome, log: str, work_request_id: UUID | None, *, by: str, now: datetime) -> None:
        """Raises IllegalMove, WorkNotNamed."""
        self.status = EMERGENCY_LIFECYCLE.after("resolve", self.status)
        if (outcome is Outcome.WORK_REQUESTED) != (work_request_id is not None):
            raise WorkNotNamed(field="work_request_id")
        self.outcome, self.log, self.work_request_id = outcome, log, work_request_id
        self.ended_by, self.ended_at = by, now

    def withdraw(self, *, by: str, now: datetime) -> None:
        """The customer calls it off; raises IllegalMove."""
        self.status = EMERGENCY_LIFECYCLE.after("withdraw", self.status)
        self.ended_by, self.ended_at = by, now


@judgements.on("emergency.report")
def reporting(facts: Facts, parameters: Facts) -> Verdict:
    """Taken at once for a service that is registered (1.3), in writing (3.1); what is not paid for has none (3.4)."""
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", "3.1")
    return Verdict("taken", "1.3") if facts["served"] else Verdict("refused", "3.4")


@judgements.on("emergency.escalate")
def escalating(facts: Facts, parameters: Facts) -> Verdict:
    """Nobody acknowledged it within the minutes of the agreement since somebody was called last (1.3)."""
    waited = datetime.fromisoformat(facts["at"]) - datetime.fromisoformat(facts["passed_on_at"])
    due = waited >= timedelta(minutes=parameters["escalate_every_minutes"])
    return Verdict("passed-on" if due else "waits", "1.3")


@judgements.on("emergency.acknowledge")
def acknowledging(facts: Facts, parameters: Facts) -> Verdict:
    """Whether the company kept the agreement's minutes (1.3)."""
    waited = datetime.fromisoformat(facts["at"]) - datetime.fromisoformat(facts["reported_at"])
    in_time = waited <= timedelta(minutes=parameters["acknowledge_within_minutes"])
    return Verdict("in-time" if in_time else "late", "1.3")
