"""Work requests: asked for on a contract, judged by a technician, acknowledged or withdrawn by the customer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from pydantic import Field

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.db import work_requests
from services.contracts.domain.agreement import Language
from services.contracts.domain.booking import Place, Preference, WindowImpossible
from services.contracts.domain.catalogue import OutsideCatalogue
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.risk import RiskAssessment
from services.contracts.domain.risk_text import NotAssessed, RiskTextDiffers
from services.contracts.domain.software import UndeclaredSoftware
from services.contracts.domain.work_request import (
    Acknowledgement,
    NoSuchWorkRequest,
    Origin,
    ServerOutsideContract,
    Step,
    WorkRequest,
    WorkStatus,
)
from services.contracts.domain.work_rules import NoFreshBackup, NotAcknowledged, NothingToRefuse
from services.contracts.use_cases import work_requests as stories
from services.contracts.use_cases.work_decisions import held_for
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.auth import Role
from shared.kit.fields import Body, Code, Flag, Line, Paragraph, Sha256, View, When
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="work requests")

TECHNICIANS = frozenset({Role.TECHNICIAN})
MOST_SOFTWARE = 20
UNREADY = [NotAcknowledged, NoFreshBackup, UndeclaredSoftware]


class PreferenceIn(Body):
    """What the customer would prefer; it is kept and binds nobody (1.2)."""

    starts_at: When | None = None
    ends_at: When | None = None
    place: Place | None = None


class RequestWork(Body):
    """`software` names what the work touches on the server; it is held until all of that is declared (4.1)."""

    operation_code: Code
    server_id: UUID
    note: Paragraph | None = None
    preference: PreferenceIn | None = None
    software: Annotated[list[Line], Field(max_length=MOST_SOFTWARE)] | None = None
    channel: Line


class AssessWork(Body):
    """`rehearsed`: the technician has carried the operation out on a copy of the server."""

    rehearsed: Flag


class AcknowledgeRisk(Body):
    """Names the exact text that was read, as GET …/risk-text showed it."""

    language: Language
    text_sha256: Sha256
    channel: Line


class RefuseWork(Body):
    reason: Paragraph


class WithdrawWork(Body):
    channel: Line


class PreferenceView(View):
    starts_at: datetime | None
    ends_at: datetime | None
    place: Place | None


class SlotView(View):
    starts_at: datetime
    ends_at: datetime
    place: Place
    technician: str


class WorkRequestView(View):
    """`risk` is that of the catalogue, `assessed_risk` that of the last assessment; `schedule` is the company's."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    operation_code: str
    risk: str
    assessed_risk: str | None
    agreement_version: str
    origin: Origin
    warranty_of: UUID | None
    note: str | None
    preference: PreferenceView
    status: WorkStatus
    requested_at: datetime
    acknowledged: bool
    decided_at: datetime | None
    reason: str | None
    schedule: SlotView | None
    started_at: datetime | None
    steps: int
    ended_at: datetime | None
    signed_off_at: datetime | None
    software: list[str]

    @classmethod
    def of(cls, work: WorkRequest) -> WorkRequestView:
        return cls.model_validate(
            {
                **vars(work),
                "software": list(work.software),
                "risk": work.risk.word,
                "assessed_risk": work.assessed_risk.word if work.assessed_risk else None,
                "preference": PreferenceView.model_validate(work.preference),
                "acknowledged": work.is_acknowledged,
                "schedule": SlotView.model_validate(work.slot) if work.slot else None,
            }
        )


class AssessmentView(View):
    """`likelihood` and `impact` are the catalogue's, 1 to 5; `risk` is the class in the light of the evidence."""

    likelihood: int
    impact: int
    risk: str
    backup_completed_at: datetime | None
    rehearsed_at: datetime | None
    assessed_at: datetime

    @classmethod
    def of(cls, assessment: RiskAssessment) -> AssessmentView:
        hazard = {"likelihood": assessment.hazard.likelihood, "impact": assessment.hazard.impact}
        return cls.model_validate({**vars(assessment), **hazard, "risk": assessment.risk.word})


class AcknowledgementView(View):
    """What the customer signed; the address it came from is kept and not shown."""

    language: str
    text: str
    text_sha256: str
    acknowledged_by: str
    channel: str
    acknowledged_at: datetime

    @classmethod
    def of(cls, acknowledgement: Acknowledgement) -> AcknowledgementView:
        return cls.model_validate(acknowledgement)


class StepView(View):
    step_index: int
    text: str
    written_by: str
    written_at: datetime

    @classmethod
    def of(cls, step: Step) -> StepView:
        return cls.model_validate(step)


class WorkRequestDetail(WorkRequestView):
    """`held_for_software`: which of `software` is not declared yet; the work waits for it (4.1)."""

    held_for_software: list[str]
    assessment: AssessmentView | None
    acknowledgement: AcknowledgementView | None
    log: list[StepView]


class RiskTextView(View):
    language: Language
    text: str
    text_sha256: str


@router.post(
    "/contracts/{contract_id}/work-requests",
    callers=WRITERS,
    status_code=201,
    refusals=[
        NoSuchContract,
        OralRequest,
        NotRegistered,
        OutsideCatalogue,
        ServerOutsideContract,
        WindowImpossible,
    ],
)
async def request_work(contract_id: UUID, body: RequestWork, tx: Tx, caller: CallerIn) -> WorkRequestView:
    """Ask in writing for an operation that the contract's plan includes."""
    work = await stories.request_work(
        tx,
        contract_id,
        only_customer=caller.only_customer,
        operation_code=body.operation_code,
        server_id=body.server_id,
        note=body.note,
        channel=body.channel,
        preference=Preference(**dict(body.preference)) if body.preference else Preference(),
        software=body.software or (),
    )
    return WorkRequestView.of(work)


@router.get("/work-requests", callers=READERS)
async def list_work_requests(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[WorkStatus | None, Query()] = None,
    technician: Annotated[Line | None, Query()] = None,
) -> Page[WorkRequestView]:
    """Work requests the caller may see, oldest first."""
    found = await work_requests.page(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        status=status,
        technician=technician,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, WorkRequestView.of, lambda work: work.id)


@router.get("/work-requests/{work_request_id}", callers=READERS, refusals=[NoSuchWorkRequest])
async def read_work_request(work_request_id: UUID, reader: Read, caller: CallerIn) -> WorkRequestDetail:
    """One work request with its last assessment, what the customer signed, and the steps of the work."""
    work = await work_requests.get(reader, work_request_id, only_customer=caller.only_customer)
    assessment = await work_requests.assessment_of(reader, work)
    signed = await work_requests.acknowledgement_of(reader, work)
    steps = await work_requests.steps_of(reader, work.id)
    return WorkRequestDetail(
        **dict(WorkRequestView.of(work)),
        held_for_software=await held_for(reader, work),
        assessment=AssessmentView.of(assessment) if assessment else None,
        acknowledgement=AcknowledgementView.of(signed) if signed else None,
        log=[StepView.of(step) for step in steps],
    )


@router.post(
    "/work-requests/{work_request_id}/assess",
    callers=TECHNICIANS,
    refusals=[NoSuchWorkRequest, OutsideCatalogue, IllegalMove, StaleWrite],
)
async def assess_work(work_request_id: UUID, body: AssessWork, tx: Tx) -> WorkRequestView:
    """Judge the risk: likelihood × impact of the catalogue, lowered by the evidence of this moment (1.1)."""
    return WorkRequestView.of(await stories.assess_work(tx, work_request_id, rehearsed=body.rehearsed))


@router.get("/work-requests/{work_request_id}/risk-text", callers=READERS, refusals=[NoSuchWorkRequest, NotAssessed])
async def read_risk_text(
    work_request_id: UUID, reader: Read, caller: CallerIn, language: Annotated[Language, Query()] = Language.EN
) -> RiskTextView:
    """The exact text by which the customer acknowledges the risk as it was last assessed."""
    work = await work_requests.get(reader, work_request_id, only_customer=caller.only_customer)
    text = await stories.text_about_risk(reader, work, language)
    return RiskTextView(language=text.language, text=text.text, text_sha256=text.sha256)


@router.post(
    "/work-requests/{work_request_id}/acknowledge",
    callers=WRITERS,
    refusals=[NoSuchWorkRequest, OralRequest, NotAssessed, RiskTextDiffers, IllegalMove, StaleWrite],
)
async def acknowledge_risk(
    work_request_id: UUID, body: AcknowledgeRisk, request: Request, tx: Tx, caller: CallerIn
) -> WorkRequestView:
    """Sign the exact text about the risk (1.1); another assessment asks for another signature."""
    signature = stories.Signature(
        language=body.language,
        text_sha256=body.text_sha256,
        channel=body.channel,
        address=(request.client.host if request.client else "unknown")[:64],
    )
    work = await stories.acknowledge_risk(tx, work_request_id, signature, only_customer=caller.only_customer)
    return WorkRequestView.of(work)


@router.post(
    "/work-requests/{work_request_id}/accept",
    callers=TECHNICIANS,
    refusals=[NoSuchWorkRequest, NotRegistered, NotAssessed, *UNREADY, IllegalMove, StaleWrite],
)
async def accept_work(work_request_id: UUID, tx: Tx) -> WorkRequestView:
    """Take the work on; what is of high risk only with the customer's signature and a fresh verified backup (1.1)."""
    return WorkRequestView.of(await stories.accept_work(tx, work_request_id))


@router.post(
    "/work-requests/{work_request_id}/refuse",
    callers=TECHNICIANS,
    refusals=[NoSuchWorkRequest, NotAssessed, NothingToRefuse, IllegalMove, StaleWrite],
)
async def refuse_work(work_request_id: UUID, body: RefuseWork, tx: Tx) -> WorkRequestView:
    """Refuse work whose assessed risk reaches the agreement's threshold, with the reason (1.1); final, and free."""
    return WorkRequestView.of(await stories.refuse_work(tx, work_request_id, reason=body.reason))


@router.post(
    "/work-requests/{work_request_id}/withdraw",
    callers=WRITERS,
    refusals=[NoSuchWorkRequest, OralRequest, IllegalMove, StaleWrite],
)
async def withdraw_work(work_request_id: UUID, body: WithdrawWork, tx: Tx, caller: CallerIn) -> WorkRequestView:
    """Take a request back before the work starts."""
    work = await stories.withdraw_work(tx, work_request_id, only_customer=caller.only_customer, channel=body.channel)
    return WorkRequestView.of(work)
