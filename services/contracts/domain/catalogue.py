"""The catalogue as data: plans that can be bought, operations that can be asked for, and their risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from services.contracts.domain.agreement import Language, Risk
from services.contracts.domain.risk import Hazard, Lowering, risk_of
from shared.kernel.errors import Invalid
from shared.kernel.money import Money


class OutsideCatalogue(Invalid):
    """Only what the catalogue lists can be bought or asked for."""

    clause: ClassVar[str | None] = "3.1"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """`likelihood` and `impact` of going wrong, 1 to 5 each; `lowered_by` is the evidence that makes them less."""

    code: str
    names: Mapping[Language, str]
    likelihood: int
    impact: int
    lowered_by: tuple[Lowering, ...] = ()

    @property
    def risk(self) -> Risk:
        """Without any evidence."""
        return risk_of(self.likelihood, self.impact)

    @property
    def hazard(self) -> Hazard:
        return Hazard(likelihood=self.likelihood, impact=self.impact, lowered_by=self.lowered_by)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A published version of a plan never changes; a new price is a new version."""

    code: str
    version: int
    names: Mapping[Language, str]
    fee: Money
    term_months: int
    operations: frozenset[str]


@dataclass(frozen=True)
class Catalogue:
    plans: tuple[Plan, ...]
    operations: tuple[Operation, ...]

    @property
    def offered(self) -> list[Plan]:
        """The newest version of every plan, by code."""
        newest: dict[str, Plan] = {}
        for plan in sorted(self.plans, key=lambda plan: plan.version):
            newest[plan.code] = plan
        return sorted(newest.values(), key=lambda plan: plan.code)

    def plan(self, code: str, *, agreement_version: str, version: int | None = None) -> Plan:
        """The plan of that code, newest unless a version is named; raises OutsideCatalogue."""
        found = [plan for plan in self.plans if plan.code == code and version in (None, plan.version)]
        if not found:
            raise OutsideCatalogue(
                "The catalogue lists no such plan.", field="plan_code", agreement_version=agreement_version
            )
        return max(found, key=lambda plan: plan.version)

    def operation_called(self, code: str) -> Operation | None:
        """The operation, whichever plans include it."""
        return next((operation for operation in self.operations if operation.code == code), None)

    def operation(self, code: str, *, plan: Plan, agreement_version: str) -> Operation:
        """The operation, if `plan` includes it; raises OutsideCatalogue."""
        operation = self.operation_called(code)
        if operation is not None and code in plan.operations:
            return operation
        raise OutsideCatalogue(
            "The contract's plan includes no such operation.",
            field="operation_code",
            agreement_version=agreement_version,
            plan_code=plan.code,
        )
