"""Accepted work is scheduled, done step by step, and signed off (1.1, 1.2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, bookings, work_requests
from services.contracts.domain import work_rules
from services.contracts.domain.booking import Slot, TechnicianBooked
from services.contracts.domain.work_request import Step, WorkRequest, WorkStatus
from services.contracts.use_cases.readiness import readiness_now
from services.contracts.use_cases.work_decisions import (
    decide,
    facts_now,
    get_served,
    ids_of,
    last_assessment,
    parameters_of,
)
from shared.events.contracts import (
    WorkCompleted,
    WorkFailed,
    WorkRescheduled,
    WorkScheduled,
    WorkSignedOff,
    WorkStarted,
)
from shared.kernel.judgement import Judgement
from shared.kit import audit_trail
from shared.kit.db import Transaction
from shared.kit.schedule import cancel_timer, set_timer

SIGN_OFF = "work-request.sign-off"


async def schedule_work(tx: Transaction, work_request_id: UUID, slot: Slot) -> WorkRequest:
    """Raises NoSuchWorkRequest, NotRegistered, IllegalMove, WindowImpossible, TechnicianBooked."""
    work = await get_served(tx, work_request_id)
    found = work.status
    work.schedule(slot, now=tx.now)
    await _book(tx, work, slot, work_rules.scheduling, found)
    tx.publish(WorkScheduled(**ids_of(work), **_window(slot), scheduled_at=tx.now))
    return work


async def reschedule_work(tx: Transaction, work_request_id: UUID, slot: Slot) -> WorkRequest:
    """Raises NoSuchWorkRequest, NotRegistered, IllegalMove, WindowImpossible, TechnicianBooked."""
    work = await get_served(tx, work_request_id)
    found = work.status
    work.reschedule(slot, now=tx.now)
    await _book(tx, work, slot, work_rules.rescheduling, found)
    tx.publish(WorkRescheduled(**ids_of(work), **_window(slot), scheduled_at=tx.now))
    return work


async def start_work(tx: Transaction, work_request_id: UUID) -> WorkRequest:
    """Raises NoSuchWorkRequest, NotRegistered, IllegalMove, NotTheTechnician, OutsideTheWindow.

    Raises NotAcknowledged and NoFreshBackup when the risk is high at this moment, UndeclaredSoftware, and NotReady when
    the server does not meet the conditions for maintenance and its customer was not told so.
    """
    work = await get_served(tx, work_request_id)
    found = work.status
    work.start(by=tx.actor, now=tx.now)
    await work_requests.save(tx, work)
    assessment = await last_assessment(tx, work)
    facts = await facts_now(tx, work, assessment) | await readiness_now(tx, work)
    await decide(tx, work, work_rules.starting, found=found, **facts)
    tx.publish(WorkStarted(**ids_of(work), server_id=work.server_id, started_at=tx.now))
    return work


async def log_step(tx: Transaction, work_request_id: UUID, *, text: str) -> Step:
    """Raises NoSuchWorkRequest, IllegalMove, NotTheTechnician, TooManySteps."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
    step = work.log(text, by=tx.actor, now=tx.now)
    await work_requests.add_step(tx, step)
    await work_requests.save(tx, work)
    audit_trail.record(tx, work.customer_id, "log-work", work.id, step_index=step.step_index)
    return step


async def complete_work(tx: Transaction, work_request_id: UUID) -> WorkRequest:
    """Raises NoSuchWorkRequest, IllegalMove, NotTheTechnician."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
    found = work.status
    work.complete(by=tx.actor, now=tx.now)
    await work_requests.save(tx, work)
    await bookings.finish(tx, work.id)
    await set_timer(tx, SIGN_OFF, work.id, tx.now + timedelta(days=parameters_of(work).signed_off_after_days))
    await decide(tx, work, work_rules.completing, found=found, steps=work.steps)
    tx.publish(WorkCompleted(**ids_of(work), decided_at=tx.now))
    return work


async def fail_work(tx: Transaction, work_request_id: UUID, *, reason: str) -> WorkRequest:
    """Raises NoSuchWorkRequest, IllegalMove, NotTheTechnician."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
    found = work.status
    work.fail(reason=reason, by=tx.actor, now=tx.now)
    await work_requests.save(tx, work)
    await bookings.finish(tx, work.id)
    await decide(tx, work, work_rules.failing, found=found, steps=work.steps)
    tx.publish(WorkFailed(**ids_of(work), server_id=work.server_id, failed_at=tx.now))
    return work


async def sign_off_work(
    tx: Transaction, work_request_id: UUID, *, only_customer: UUID | None, channel: str
) -> WorkRequest:
    """Raises NoSuchWorkRequest, OralRequest, IllegalMove."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=only_customer)
    agreements.published().version(work.agreement_version).check_channel(channel)
    found = work.status
    work.sign_off(tx.now)
    await work_requests.save(tx, work)
    await cancel_timer(tx, SIGN_OFF, work.id)
    await decide(tx, work, work_rules.signing_off, found=found, by_customer=True, channel=channel)
    tx.publish(WorkSignedOff(**ids_of(work), by_customer=True, signed_off_at=tx.now))
    return work


async def sign_off_by_time(tx: Transaction, work_request_id: UUID) -> None:
    """The customer has not objected; nothing happens when it has signed off itself."""
    work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
    if work.status is not WorkStatus.COMPLETED:
        return
    assert work.ended_at is not None
    found = work.status
    work.sign_off(tx.now)
    await work_requests.save(tx, work)
    waited = {"completed_at": work.ended_at.isoformat(), "at": tx.now.isoformat()}
    await decide(tx, work, work_rules.signing_off, found=found, by_customer=False, **waited)
    tx.publish(WorkSignedOff(**ids_of(work), by_customer=False, signed_off_at=tx.now))


async def _book(tx: Transaction, work: WorkRequest, slot: Slot, judgement: Judgement, found: WorkStatus) -> None:
    """The technician's row is locked last, so that nobody else books that time meanwhile."""
    await bookings.lock(tx, slot.technician)
    if await bookings.clashes(tx, slot, except_for=work.id):
        raise TechnicianBooked(field="starts_at", agreement_version=work.agreement_version)
    await work_requests.save(tx, work)
    await bookings.book(tx, work.id, slot)
    preferred = work.preference
    shown: dict[str, Any] = {
        "technician_free": True,
        "starts_at": slot.starts_at.isoformat(),
        "ends_at": slot.ends_at.isoformat(),
        "place": slot.place.value,
        "preferred_starts_at": preferred.starts_at.isoformat() if preferred.starts_at else None,
        "preferred_place": preferred.place.value if preferred.place else None,
    }
    await decide(tx, work, judgement, found=found, **shown)


def _window(slot: Slot) -> dict[str, object]:
    return {"starts_at": slot.starts_at, "ends_at": slot.ends_at, "place": slot.place.value}
