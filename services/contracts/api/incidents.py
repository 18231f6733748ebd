"""Incidents: reported on a contract, looked into and decided by technicians, appealed against by the customer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import Field

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.api.work_requests import TECHNICIANS
from services.contracts.db import incidents
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.incident import (
    AlreadyAppealed,
    AttemptOutcome,
    Determination,
    Finding,
    FindingKind,
    FoundInTheFuture,
    Incident,
    IncidentStatus,
    NoSuchIncident,
    OutsideTheIncident,
    OutsideTheService,
    OwnDecision,
    WorkMissing,
)
from services.contracts.domain.liability import Cause, CauseUndetermined, FactsMissing, Liability, RecoveryNotTried
from services.contracts.domain.work_request import NoSuchWorkRequest, ServerOutsideContract
from services.contracts.use_cases.incidents import deciding, reporting
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.auth import Role
from shared.kit.fields import Body, Code, Flag, Line, Paragraph, Sha256, View, When
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="incidents")

DECIDERS = TECHNICIANS | {Role.ADMIN}
MOST_FINDINGS = 20


class ReportIncident(Body):
    """`seen` is what was noticed, in the reporter's own words."""

    server_id: UUID
    happened_at: When
    seen: Paragraph
    channel: Line


class FindingIn(Body):
    """What was looked at, named by its SHA-256."""

    kind: FindingKind
    sha256: Sha256
    found_at: When

    def finding(self) -> Finding:
        return Finding(kind=self.kind, sha256=self.sha256, found_at=self.found_at)


class DetermineCause(Body):
    """`cause` null: undetermined. `work_request_id` names the work in progress where it happened during maintenance."""

    cause: Cause | None
    data_lost: Flag
    work_request_id: UUID | None = None
    findings: Annotated[list[FindingIn], Field(default_factory=list, max_length=MOST_FINDINGS)]

    def determination(self) -> Determination:
        return Determination(
            cause=self.cause,
            data_lost=self.data_lost,
            work_request_id=self.work_request_id,
            findings=tuple(each.finding() for each in self.findings),
        )


class RecordAttempt(Body):
    method: Code
    outcome: AttemptOutcome
    attempted_at: When


class DecideIncident(Body):
    """Nothing to say: the facts on record decide."""


class Appeal(Body):
    reason: Paragraph
    channel: Line


class DecideAppeal(Body):
    """`reconsidered`: the cause that whoever decides the appeal found; none: as it was determined."""

    reconsidered: DetermineCause | None = None


class FindingView(View):
    kind: FindingKind
    sha256: str
    found_at: datetime


class AttemptView(View):
    id: UUID
    method: str
    outcome: AttemptOutcome
    attempted_at: datetime
    recorded_at: datetime
    recorded_by: str


class IncidentView(View):
    """`cause` null: undetermined. `liability` and `clause` are those of the last decision."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    period_index: int
    agreement_version: str
    happened_at: datetime
    seen: str
    reported_at: datetime
    reported_by: str
    status: IncidentStatus
    cause: Cause | None
    data_lost: bool
    work_request_id: UUID | None
    findings: list[FindingView]
    determined_at: datetime | None
    attempts: list[AttemptView]
    recovered: bool
    liability: Liability | None
    clause: str | None
    decided_at: datetime | None
    decided_by: str | None
    appealed_at: datetime | None
    appeal_reason: str | None
    concluded_at: datetime | None
    concluded_by: str | None

    @classmethod
    def of(cls, incident: Incident) -> IncidentView:
        values: dict[str, Any] = {**vars(incident), **vars(incident.determination), "recovered": incident.recovered}
        return cls.model_validate(values)


@router.post(
    "/contracts/{contract_id}/incidents",
    callers=WRITERS | TECHNICIANS,
    status_code=201,
    refusals=[NoSuchContract, OralRequest, NotRegistered, ServerOutsideContract, OutsideTheService],
)
async def report_incident(contract_id: UUID, body: ReportIncident, tx: Tx, caller: CallerIn) -> IncidentView:
    """Report in writing what happened to a server of the contract."""
    incident = await reporting.report_incident(
        tx,
        contract_id,
        only_customer=caller.only_customer,
        server_id=body.server_id,
        happened_at=body.happened_at,
        seen=body.seen,
        channel=body.channel,
    )
    return IncidentView.of(incident)


@router.get("/incidents", callers=READERS)
async def list_incidents(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[IncidentStatus | None, Query()] = None,
) -> Page[IncidentView]:
    """Incidents the caller may see, oldest first."""
    found = await incidents.page(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, IncidentView.of, lambda incident: incident.id)


@router.get("/incidents/{incident_id}", callers=READERS, refusals=[NoSuchIncident])
async def read_incident(incident_id: UUID, reader: Read, caller: CallerIn) -> IncidentView:
    """One incident with its recovery log."""
    return IncidentView.of(await incidents.get(reader, incident_id, only_customer=caller.only_customer))


@router.post(
    "/incidents/{incident_id}/determine-cause",
    callers=TECHNICIANS,
    refusals=[NoSuchIncident, NoSuchWorkRequest, WorkMissing, FoundInTheFuture, IllegalMove, StaleWrite],
)
async def determine_cause(incident_id: UUID, body: DetermineCause, tx: Tx) -> IncidentView:
    """Say what caused it and what shows it; what is on record with us anyway is not asked for."""
    return IncidentView.of(await reporting.determine_cause(tx, incident_id, body.determination()))


@router.post(
    "/incidents/{incident_id}/recovery-attempts",
    callers=TECHNICIANS,
    status_code=201,
    refusals=[NoSuchIncident, OutsideTheIncident, IllegalMove, StaleWrite],
)
async def record_recovery_attempt(incident_id: UUID, body: RecordAttempt, tx: Tx) -> IncidentView:
    """Append an attempt to the recovery log (2.1); nothing in it is changed afterwards."""
    incident = await reporting.record_attempt(
        tx, incident_id, method=body.method, outcome=body.outcome, attempted_at=body.attempted_at
    )
    return IncidentView.of(incident)


@router.post(
    "/incidents/{incident_id}/decide",
    callers=DECIDERS,
    refusals=[NoSuchIncident, CauseUndetermined, FactsMissing, RecoveryNotTried, IllegalMove, StaleWrite],
)
async def decide_incident(incident_id: UUID, body: DecideIncident, tx: Tx) -> IncidentView:
    """Have the facts on record decide who answers for it."""
    return IncidentView.of(await deciding.decide_incident(tx, incident_id))


@router.post(
    "/incidents/{incident_id}/appeal",
    callers=WRITERS,
    refusals=[NoSuchIncident, OralRequest, AlreadyAppealed, IllegalMove, StaleWrite],
)
async def appeal_incident(incident_id: UUID, body: Appeal, tx: Tx, caller: CallerIn) -> IncidentView:
    """Appeal in writing against the decision, once."""
    incident = await deciding.appeal(
        tx, incident_id, only_customer=caller.only_customer, reason=body.reason, channel=body.channel
    )
    return IncidentView.of(incident)


@router.post(
    "/incidents/{incident_id}/decide-appeal",
    callers=DECIDERS,
    refusals=[
        NoSuchIncident,
        NoSuchWorkRequest,
        WorkMissing,
        FoundInTheFuture,
        OwnDecision,
        CauseUndetermined,
        FactsMissing,
        RecoveryNotTried,
        IllegalMove,
        StaleWrite,
    ],
)
async def decide_appeal(incident_id: UUID, body: DecideAppeal, tx: Tx) -> IncidentView:
    """Judge it once more; whoever decided first may not."""
    reconsidered = body.reconsidered.determination() if body.reconsidered else None
    return IncidentView.of(await deciding.decide_appeal(tx, incident_id, reconsidered))
