"""Reading the catalogue."""

from __future__ import annotations

from services.contracts.db import catalogue
from services.contracts.domain.agreement import Language
from services.contracts.domain.risk import Evidence
from shared.kit.auth import ANYONE
from shared.kit.fields import AmountOut, View
from shared.kit.routing import HouseRouter

router = HouseRouter("/v1/catalogue", tag="catalogue")


class PlanView(View):
    code: str
    version: int
    names: dict[Language, str]
    fee: AmountOut
    term_months: int
    operations: list[str]


class PlanList(View):
    items: list[PlanView]


class LoweringView(View):
    """What evidence takes off likelihood and impact while it is younger than so many hours."""

    evidence: Evidence
    younger_than_hours: int
    likelihood: int
    impact: int


class OperationView(View):
    """`risk` follows from likelihood × impact, 1 to 5 each: medium from 6, high from 12; `lowered_by` evidence."""

    code: str
    names: dict[Language, str]
    likelihood: int
    impact: int
    risk: str
    lowered_by: list[LoweringView]


class OperationList(View):
    items: list[OperationView]


@router.get("/plans", callers=ANYONE)
async def list_plans() -> PlanList:
    """What can be bought: the newest version of every plan. Fees are net (3.6)."""
    return PlanList(
        items=[
            PlanView(
                code=plan.code,
                version=plan.version,
                names=dict(plan.names),
                fee=AmountOut.of(plan.fee),
                term_months=plan.term_months,
                operations=sorted(plan.operations),
            )
            for plan in catalogue.published().offered
        ]
    )


@router.get("/operations", callers=ANYONE)
async def list_operations() -> OperationList:
    """What can be asked for, with its risk."""
    return OperationList(
        items=[
            OperationView(
                code=operation.code,
                names=dict(operation.names),
                likelihood=operation.likelihood,
                impact=operation.impact,
                risk=operation.risk.word,
                lowered_by=[LoweringView.model_validate(lowering) for lowering in operation.lowered_by],
            )
            for operation in catalogue.published().operations
        ]
    )
