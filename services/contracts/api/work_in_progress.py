"""Work that was accepted: scheduled by the company, done by its technician, signed off by the customer."""

from __future__ import annotations

from uuid import UUID

from services.contracts.api.customers import WRITERS
from services.contracts.api.work_requests import TECHNICIANS, UNREADY, StepView, WithdrawWork, WorkRequestView
from services.contracts.domain.booking import Place, Slot, TechnicianBooked, WindowImpossible
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.readiness import NotReady
from services.contracts.domain.risk_text import NotAssessed
from services.contracts.domain.work_request import (
    NoSuchWorkRequest,
    NotTheTechnician,
    OutsideTheWindow,
    TooManySteps,
)
from services.contracts.use_cases import work_in_progress as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.auth import Role
from shared.kit.fields import Body, Line, Paragraph, When
from shared.kit.routing import CallerIn, HouseRouter, Tx

router = HouseRouter("/v1/work-requests/{work_request_id}", tag="work requests")

SCHEDULERS = frozenset({Role.TECHNICIAN, Role.SUPPORT, Role.ADMIN})


class ScheduleWork(Body):
    """`technician` is the subject of that technician's tokens."""

    starts_at: When
    ends_at: When
    place: Place
    technician: Line

    def slot(self) -> Slot:
        return Slot(starts_at=self.starts_at, ends_at=self.ends_at, place=self.place, technician=self.technician)


class LogStep(Body):
    text: Paragraph


class FailWork(Body):
    reason: Paragraph


_SCHEDULING = [NoSuchWorkRequest, NotRegistered, WindowImpossible, TechnicianBooked, IllegalMove, StaleWrite]
_DOING = [NoSuchWorkRequest, NotTheTechnician, IllegalMove, StaleWrite]


@router.post("/schedule", callers=SCHEDULERS, refusals=_SCHEDULING)
async def schedule_work(work_request_id: UUID, body: ScheduleWork, tx: Tx) -> WorkRequestView:
    """Choose window, place and technician (1.2); the customer's preference stays beside it and binds nobody."""
    return WorkRequestView.of(await stories.schedule_work(tx, work_request_id, body.slot()))


@router.post("/reschedule", callers=SCHEDULERS, refusals=_SCHEDULING)
async def reschedule_work(work_request_id: UUID, body: ScheduleWork, tx: Tx) -> WorkRequestView:
    """Choose another window, place or technician before the work starts (1.2)."""
    return WorkRequestView.of(await stories.reschedule_work(tx, work_request_id, body.slot()))


@router.post(
    "/start",
    callers=TECHNICIANS,
    refusals=[*_DOING, NotRegistered, OutsideTheWindow, NotAssessed, *UNREADY, NotReady],
)
async def start_work(work_request_id: UUID, tx: Tx) -> WorkRequestView:
    """Begin, within the window, as its technician, on a server that is ready (2.4); the risk is judged again (1.1)."""
    return WorkRequestView.of(await stories.start_work(tx, work_request_id))


@router.post("/log", callers=TECHNICIANS, status_code=201, refusals=[*_DOING, TooManySteps])
async def log_step(work_request_id: UUID, body: LogStep, tx: Tx) -> StepView:
    """Write down a step of the work in progress; what is written stays as it is."""
    return StepView.of(await stories.log_step(tx, work_request_id, text=body.text))


@router.post("/complete", callers=TECHNICIANS, refusals=_DOING)
async def complete_work(work_request_id: UUID, tx: Tx) -> WorkRequestView:
    """The work is done."""
    return WorkRequestView.of(await stories.complete_work(tx, work_request_id))


@router.post("/fail", callers=TECHNICIANS, refusals=_DOING)
async def fail_work(work_request_id: UUID, body: FailWork, tx: Tx) -> WorkRequestView:
    """The work could not be done; says why."""
    return WorkRequestView.of(await stories.fail_work(tx, work_request_id, reason=body.reason))


@router.post("/sign-off", callers=WRITERS, refusals=[NoSuchWorkRequest, OralRequest, IllegalMove, StaleWrite])
async def sign_off_work(work_request_id: UUID, body: WithdrawWork, tx: Tx, caller: CallerIn) -> WorkRequestView:
    """The customer finds the work done; without a word it counts as signed off after the agreement's days."""
    work = await stories.sign_off_work(tx, work_request_id, only_customer=caller.only_customer, channel=body.channel)
    return WorkRequestView.of(work)
