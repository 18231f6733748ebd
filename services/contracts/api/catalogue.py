"""Reading the catalogue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.contracts.db import catalogue
from services.contracts.domain.agreement import Language
from services.contracts.domain.catalogue import Catalogue, NoSuchPlan, Plan
from services.contracts.domain.risk import Evidence
from shared.kit.auth import ANYONE
from shared.kit.fields import AmountOut, View
from shared.kit.routing import HouseRouter, Read

router = HouseRouter("/v1/catalogue", tag="catalogue")


class PlanView(View):
    """`local_backup_every_hours` null: as often as the agreement says (2.2). Service hours: `24x7`, or weekdays and
    hours by the clock of the contract's zone.
    """

    code: str
    version: int
    names: dict[Language, str]
    fee: AmountOut
    term_months: int
    operations: list[str]
    service_hours: str
    local_backup_every_hours: int | None
    offered_from: datetime | None
    offered_until: datetime | None

    @classmethod
    def of(cls, plan: Plan) -> PlanView:
        return cls.model_validate(_shown(plan))


class PlanList(View):
    items: list[PlanView]


class PlanVersionView(PlanView):
    """`offered`: whether this very version may be bought now. `definition_sha256` is pinned when somebody buys it."""

    offered: bool
    definition_sha256: str

    @classmethod
    def version_of(cls, plan: Plan, book: Catalogue, now: datetime) -> PlanVersionView:
        return cls.model_validate(
            _shown(plan) | {"offered": plan in book.offered(now), "definition_sha256": plan.definition_sha256}
        )


class PlanVersions(View):
    """Oldest version first."""

    code: str
    versions: list[PlanVersionView]


def _shown(plan: Plan) -> dict[str, Any]:
    return {
        **vars(plan),
        "fee": AmountOut.of(plan.fee),
        "operations": sorted(plan.operations),
        "service_hours": plan.service_hours.shown(),
    }


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
async def list_plans(reader: Read) -> PlanList:
    """What can be bought now: of every plan the newest version that has begun. Fees are net (3.6)."""
    return PlanList(items=[PlanView.of(plan) for plan in catalogue.published().offered(reader.now)])


@router.get("/plans/{code}", callers=ANYONE, refusals=[NoSuchPlan])
async def read_plan(code: str, reader: Read) -> PlanVersions:
    """A plan with all its versions, also those that are not offered yet or any more; a contract keeps its own."""
    book = catalogue.published()
    versions = [PlanVersionView.version_of(plan, book, reader.now) for plan in book.versions_of(code)]
    return PlanVersions(code=code, versions=versions)


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
