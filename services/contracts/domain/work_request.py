"""A request for an operation of the catalogue, and its way from the risk's assessment to the customer's sign-off."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.agreement import Risk
from services.contracts.domain.booking import Preference, Slot
from services.contracts.domain.risk import RiskAssessment
from shared.kernel.errors import Conflict, Forbidden, NotFound
from shared.kernel.lifecycle import Lifecycle

MOST_STEPS = 1000


class NoSuchWorkRequest(NotFound):
    """There is no such work request, or it is not yours."""


class ServerOutsideContract(Conflict):
    """Work is done on the servers of the contract only."""

    clause: ClassVar[str | None] = "3.1"


class NotTheTechnician(Forbidden):
    """Only the technician who is scheduled for the work does it."""

    clause: ClassVar[str | None] = "1.2"


class OutsideTheWindow(Conflict):
    """Work starts within its window; schedule it anew."""

    clause: ClassVar[str | None] = "1.2"


class TooManySteps(Conflict):
    """No more steps are kept for one piece of work."""


class WorkStatus(StrEnum):
    REQUESTED = "requested"
    ASSESSED = "assessed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    SIGNED_OFF = "signed_off"


UNDECIDED = frozenset({WorkStatus.REQUESTED, WorkStatus.ASSESSED})
AGREED = frozenset({WorkStatus.ACCEPTED, WorkStatus.SCHEDULED})

WORK_LIFECYCLE = Lifecycle[WorkStatus](
    "work request",
    [
        ("assess", UNDECIDED, WorkStatus.ASSESSED),
        ("acknowledge", {WorkStatus.ASSESSED}, WorkStatus.ASSESSED),
        # Later, when the evidence that had lowered the risk is too old by the time of the work.
        ("acknowledge", {WorkStatus.ACCEPTED}, WorkStatus.ACCEPTED),
        ("acknowledge", {WorkStatus.SCHEDULED}, WorkStatus.SCHEDULED),
        ("accept", {WorkStatus.ASSESSED}, WorkStatus.ACCEPTED),
        ("refuse", {WorkStatus.ASSESSED}, WorkStatus.REFUSED),
        ("withdraw", UNDECIDED | AGREED, WorkStatus.WITHDRAWN),
        ("schedule", {WorkStatus.ACCEPTED}, WorkStatus.SCHEDULED),
        ("reschedule", {WorkStatus.SCHEDULED}, WorkStatus.SCHEDULED),
        ("start", {WorkStatus.SCHEDULED}, WorkStatus.IN_PROGRESS),
        ("log", {WorkStatus.IN_PROGRESS}, WorkStatus.IN_PROGRESS),
        ("complete", {WorkStatus.IN_PROGRESS}, WorkStatus.COMPLETED),
        ("fail", {WorkStatus.IN_PROGRESS}, WorkStatus.FAILED),
        ("sign_off", {WorkStatus.COMPLETED}, WorkStatus.SIGNED_OFF),
    ],
)


class Origin(StrEnum):
    CUSTOMER = "customer"
    WARRANTY = "warranty"
    """Opened by a warranty claim (6.1): free."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the technician did, in order from 1; kept as it was written."""

    work_request_id: UUID
    step_index: int
    text: str
    written_by: str
    written_at: datetime


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """The customer's signed word about one assessment: who, when, from which address (personal data), which text."""

    id: UUID
    work_request_id: UUID
    assessment_id: UUID
    language: str
    text_sha256: str
    text: str
    acknowledged_by: str
    address: str
    channel: str
    acknowledged_at: datetime


@dataclass(eq=False, kw_only=True)
class WorkRequest:
    """`risk` is that of the catalogue when it was asked for, `assessed_risk` that of the last assessment.

    `note` is the customer's own text, `reason` the company's for a refusal or failure. `warranty_of` is the
    work that a warranty claim is about. `slot` is there once it is scheduled. `software` names what it touches (4.1).
    """

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    operation_code: str
    risk: Risk
    agreement_version: str
    note: str | None
    requested_at: datetime
    origin: Origin = Origin.CUSTOMER
    warranty_of: UUID | None = None
    preference: Preference = field(default_factory=Preference)
    status: WorkStatus = WorkStatus.REQUESTED
    assessment_id: UUID | None = None
    assessed_risk: Risk | None = None
    acknowledgement_id: UUID | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    slot: Slot | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    steps: int = 0
    ended_at: datetime | None = None
    signed_off_at: datetime | None = None
    software: tuple[str, ...] = ()
    version: int = 1

    @classmethod
    def under_warranty(cls, work: WorkRequest, *, id: UUID, note: str | None, now: datetime) -> WorkRequest:
        """The same operation on the same server again, free, by the agreement that ruled the work (6.1)."""
        return cls(
            id=id,
            contract_id=work.contract_id,
            customer_id=work.customer_id,
            server_id=work.server_id,
            operation_code=work.operation_code,
            risk=work.risk,
            agreement_version=work.agreement_version,
            note=note,
            requested_at=now,
            origin=Origin.WARRANTY,
            software=work.software,
            warranty_of=work.id,
        )

    @property
    def technician(self) -> str | None:
        """The subject of the technician it is scheduled for."""
        return self.slot.technician if self.slot else None

    @property
    def is_acknowledged(self) -> bool:
        return self.acknowledgement_id is not None

    # Deciding

    def assess(self, assessment: RiskAssessment) -> None:
        """What was acknowledged about an earlier assessment counts no more."""
        self.status = WORK_LIFECYCLE.after("assess", self.status)
        self.assessment_id, self.assessed_risk = assessment.id, assessment.risk
        self.acknowledgement_id = None

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        self.status = WORK_LIFECYCLE.after("acknowledge", self.status)
        self.acknowledgement_id = acknowledgement.id

    def accept(self, *, by: str, now: datetime) -> None:
        self._decide("accept", by, now)

    def refuse(self, *, reason: str, by: str, now: datetime) -> None:
        """Final."""
        self._decide("refuse", by, now)
        self.reason = reason

    def withdraw(self, *, by: str, now: datetime) -> None:
        self._decide("withdraw", by, now)

    # Scheduling (1.2)

    def schedule(self, slot: Slot, *, now: datetime) -> None:
        """Raises WindowImpossible."""
        self._give("schedule", slot, now)

    def reschedule(self, slot: Slot, *, now: datetime) -> None:
        """Raises WindowImpossible."""
        self._give("reschedule", slot, now)

    # Doing

    def start(self, *, by: str, now: datetime) -> None:
        """Raises NotTheTechnician, OutsideTheWindow."""
        after = WORK_LIFECYCLE.after("start", self.status)
        self._insist_on(by)
        assert self.slot is not None
        if not self.slot.holds(now):
            raise OutsideTheWindow(
                f"Its window is from {self.slot.starts_at.isoformat()} to {self.slot.ends_at.isoformat()}.",
                agreement_version=self.agreement_version,
            )
        self.status, self.started_at = after, now

    def log(self, text: str, *, by: str, now: datetime) -> Step:
        """Raises NotTheTechnician, TooManySteps."""
        self.status = WORK_LIFECYCLE.after("log", self.status)
        self._insist_on(by)
        if self.steps >= MOST_STEPS:
            raise TooManySteps(f"There are {MOST_STEPS} already.")
        self.steps += 1
        return Step(work_request_id=self.id, step_index=self.steps, text=text, written_by=by, written_at=now)

    def complete(self, *, by: str, now: datetime) -> None:
        """Raises NotTheTechnician."""
        self._end("complete", by, now)

    def fail(self, *, reason: str, by: str, now: datetime) -> None:
        """Raises NotTheTechnician."""
        self._end("fail", by, now)
        self.reason = reason

    def sign_off(self, now: datetime) -> None:
        self.status = WORK_LIFECYCLE.after("sign_off", self.status)
        self.signed_off_at = now

    def _decide(self, verb: str, by: str, now: datetime) -> None:
        self.status = WORK_LIFECYCLE.after(verb, self.status)
        self.decided_by, self.decided_at = by, now

    def _give(self, verb: str, slot: Slot, now: datetime) -> None:
        after = WORK_LIFECYCLE.after(verb, self.status)
        slot.check(now, agreement_version=self.agreement_version)
        self.status, self.slot, self.scheduled_at = after, slot, now

    def _end(self, verb: str, by: str, now: datetime) -> None:
        after = WORK_LIFECYCLE.after(verb, self.status)
        self._insist_on(by)
        self.status, self.ended_at = after, now

    def _insist_on(self, technician: str) -> None:
        if self.technician != technician:
            raise NotTheTechnician(agreement_version=self.agreement_version)
