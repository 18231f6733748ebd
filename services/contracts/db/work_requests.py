"""Rows of work requests, their assessments, acknowledgements and steps."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import risk_acknowledgements, risk_assessments, work_requests, work_steps
from services.contracts.domain.agreement import Risk
from services.contracts.domain.booking import Place, Preference, Slot
from services.contracts.domain.risk import Hazard, RiskAssessment
from services.contracts.domain.work_request import (
    AGREED,
    UNDECIDED,
    Acknowledgement,
    NoSuchWorkRequest,
    Origin,
    Step,
    WorkRequest,
    WorkStatus,
)
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction


async def insert(tx: Transaction, work: WorkRequest) -> None:
    await tx.insert(work_requests, _values(work))


async def get(reader: Reader, work_request_id: UUID, *, only_customer: UUID | None) -> WorkRequest:
    """Raises NoSuchWorkRequest, also for somebody else's."""
    return _found(await reader.row(_one(work_request_id, only_customer)))


async def get_for_update(tx: Transaction, work_request_id: UUID, *, only_customer: UUID | None) -> WorkRequest:
    """As `get`, and nobody else changes it until the end of `tx`."""
    return _found(await tx.row(_one(work_request_id, only_customer).with_for_update()))


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    contract_id: UUID | None,
    status: WorkStatus | None,
    technician: str | None,
    after: UUID | None,
    limit: int,
) -> list[WorkRequest]:
    """Up to `limit` + 1 work requests in id order."""
    query = sa.select(work_requests).order_by(work_requests.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(work_requests.c.customer_id == only_customer)
    if contract_id is not None:
        query = query.where(work_requests.c.contract_id == contract_id)
    if status is not None:
        query = query.where(work_requests.c.status == status)
    if technician is not None:
        query = query.where(work_requests.c.technician == technician)
    if after is not None:
        query = query.where(work_requests.c.id > after)
    return [_work_request(row) for row in await reader.rows(query)]


async def open_on(reader: Reader, server_id: UUID) -> list[WorkRequest]:
    """Work on the server that has not begun and may still be done, oldest first."""
    columns = work_requests.c
    query = sa.select(work_requests).where(
        columns.server_id == server_id, columns.status.in_(sorted(UNDECIDED | AGREED))
    )
    return [_work_request(row) for row in await reader.rows(query.order_by(columns.id))]


async def save(tx: Transaction, work: WorkRequest) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(work_requests).where(work_requests.c.id == work.id, work_requests.c.version == work.version)
    work.version += 1
    if (await tx.execute(guarded.values(**_values(work)))).rowcount != 1:
        raise StaleWrite()


async def keep_assessment(tx: Transaction, assessment: RiskAssessment) -> None:
    values = {**vars(assessment), "hazard": assessment.hazard.shown(), "risk": int(assessment.risk)}
    await tx.insert(risk_assessments, values)


async def assessment_of(reader: Reader, work: WorkRequest) -> RiskAssessment | None:
    """The last assessment."""
    if work.assessment_id is None:
        return None
    row = await reader.row(sa.select(risk_assessments).where(risk_assessments.c.id == work.assessment_id))
    assert row is not None
    return RiskAssessment(**{**row._mapping, "hazard": Hazard.of_shown(row.hazard), "risk": Risk(row.risk)})


async def keep_acknowledgement(tx: Transaction, acknowledgement: Acknowledgement) -> None:
    await tx.insert(risk_acknowledgements, vars(acknowledgement))


async def acknowledgement_of(reader: Reader, work: WorkRequest) -> Acknowledgement | None:
    """What the customer signed about the last assessment."""
    if work.acknowledgement_id is None:
        return None
    query = sa.select(risk_acknowledgements).where(risk_acknowledgements.c.id == work.acknowledgement_id)
    row = await reader.row(query)
    assert row is not None
    return Acknowledgement(**row._mapping)


async def add_step(tx: Transaction, step: Step) -> None:
    await tx.insert(work_steps, vars(step))


async def steps_of(reader: Reader, work_request_id: UUID) -> list[Step]:
    """All of them, in order; they are bounded."""
    query = sa.select(work_steps).where(work_steps.c.work_request_id == work_request_id)
    return [Step(**row._mapping) for row in await reader.rows(query.order_by(work_steps.c.step_index))]


def _one(work_request_id: UUID, only_customer: UUID | None) -> sa.Select[Any]:
    query = sa.select(work_requests).where(work_requests.c.id == work_request_id)
    return query if only_customer is None else query.where(work_requests.c.customer_id == only_customer)


def _found(row: sa.Row[Any] | None) -> WorkRequest:
    if row is None:
        raise NoSuchWorkRequest()
    return _work_request(row)


def _work_request(row: sa.Row[Any]) -> WorkRequest:
    values: dict[str, Any] = {**row._mapping}
    preference = Preference(
        starts_at=values.pop("preferred_starts_at"),
        ends_at=values.pop("preferred_ends_at"),
        place=_place(values.pop("preferred_place")),
    )
    technician, starts_at, ends_at, place = (
        values.pop(name) for name in ("technician", "starts_at", "ends_at", "place")
    )
    slot = None
    if technician is not None:
        slot = Slot(technician=technician, starts_at=starts_at, ends_at=ends_at, place=Place(place))
    return WorkRequest(
        **{
            **values,
            "risk": Risk(row.risk),
            "origin": Origin(row.origin),
            "status": WorkStatus(row.status),
            "software": tuple(row.software or ()),
            "assessed_risk": Risk(row.assessed_risk) if row.assessed_risk else None,
        },
        preference=preference,
        slot=slot,
    )


def _place(text: str | None) -> Place | None:
    return Place(text) if text else None


def _values(work: WorkRequest) -> dict[str, Any]:
    values = {**vars(work)}
    preference, slot = values.pop("preference"), values.pop("slot")
    return {
        **values,
        "risk": int(work.risk),
        "software": list(work.software) or None,
        "assessed_risk": None if work.assessed_risk is None else int(work.assessed_risk),
        "preferred_starts_at": preference.starts_at,
        "preferred_ends_at": preference.ends_at,
        "preferred_place": preference.place,
        "technician": slot and slot.technician,
        "starts_at": slot and slot.starts_at,
        "ends_at": slot and slot.ends_at,
        "place": slot and slot.place,
    }
