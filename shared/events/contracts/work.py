"""Work on a server, from the request to the customer's word that it is done."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.events.contracts.producer import ContractsFact, Text
from shared.events.envelope import AwareDatetime, Fact


class WorkRequestFact(ContractsFact):
    aggregate: ClassVar[str] = "work_request"
    key: ClassVar[str] = "work_request_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "decided_at"}
    )

    work_request_id: UUID
    contract_id: UUID
    agreement_version: Text
    operation_code: Text
    decided_at: AwareDatetime


class WorkRequested(WorkRequestFact):
    """A catalogue operation was asked for in writing."""

    kind: ClassVar[str] = "work-requested"


class WorkRefused(WorkRequestFact):
    """The company refused the work, with its reason on record."""

    kind: ClassVar[str] = "work-refused"


class WorkCompleted(WorkRequestFact):
    """The work was done."""

    kind: ClassVar[str] = "work-completed"


class WorkWithdrawn(WorkRequestFact):
    """The customer took the request back before it was decided."""

    kind: ClassVar[str] = "work-withdrawn"


class WorkProgressFact(ContractsFact):
    aggregate: ClassVar[str] = "work_request"
    key: ClassVar[str] = "work_request_id"

    work_request_id: UUID
    contract_id: UUID
    agreement_version: Text
    operation_code: Text


class WorkAssessed(WorkProgressFact):
    """A technician judged the risk, by the catalogue and the evidence of that moment."""

    kind: ClassVar[str] = "work-assessed"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "risk", "assessed_at"}
    )

    risk: Literal["low", "medium", "high"]
    assessed_at: AwareDatetime


class WorkAcknowledged(WorkProgressFact):
    """The customer signed the exact text about the risk."""

    kind: ClassVar[str] = "work-acknowledged"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "acknowledged_at"}
    )

    text_sha256: Annotated[str, Field(min_length=64, max_length=64)]
    acknowledged_at: AwareDatetime


class WorkAccepted(WorkProgressFact):
    """The company is going to do the work."""

    kind: ClassVar[str] = "work-accepted"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "accepted_at"}
    )

    accepted_at: AwareDatetime


class WorkScheduled(WorkProgressFact):
    """The company chose when and where the work is done."""

    kind: ClassVar[str] = "work-scheduled"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "starts_at", "ends_at", "place", "scheduled_at"}
    )

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    place: Literal["on-site", "remote"]
    scheduled_at: AwareDatetime


class WorkRescheduled(WorkProgressFact):
    """The company chose another time, place or technician."""

    kind: ClassVar[str] = "work-rescheduled"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "starts_at", "ends_at", "place", "scheduled_at"}
    )

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    place: Literal["on-site", "remote"]
    scheduled_at: AwareDatetime


class WorkStarted(WorkProgressFact):
    """The technician began."""

    kind: ClassVar[str] = "work-started"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "server_id", "operation_code", "started_at"}
    )

    server_id: UUID
    started_at: AwareDatetime


class WorkHeld(WorkProgressFact):
    """The work touches software that is not declared on its server, and waits until it is."""

    kind: ClassVar[str] = "work-held"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "undeclared", "held_at"}
    )

    undeclared: int
    """How many of the software that it touches."""
    held_at: AwareDatetime


class WorkReleased(WorkProgressFact):
    """All software that the work touches is declared now, so it goes on."""

    kind: ClassVar[str] = "work-released"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "released_at"}
    )

    released_at: AwareDatetime


class WorkFailed(WorkProgressFact):
    """The work could not be done, with its reason on record."""

    kind: ClassVar[str] = "work-failed"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "server_id", "operation_code", "failed_at"}
    )

    server_id: UUID
    failed_at: AwareDatetime


class WorkSignedOff(WorkProgressFact):
    """The customer found the work done, or said nothing until its time to object was over."""

    kind: ClassVar[str] = "work-signed-off"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "by_customer", "signed_off_at"}
    )

    by_customer: bool
    signed_off_at: AwareDatetime


FACTS: list[type[Fact]] = [
    WorkRequested,
    WorkRefused,
    WorkCompleted,
    WorkWithdrawn,
    WorkAssessed,
    WorkAcknowledged,
    WorkAccepted,
    WorkScheduled,
    WorkRescheduled,
    WorkStarted,
    WorkHeld,
    WorkReleased,
    WorkFailed,
    WorkSignedOff,
]
