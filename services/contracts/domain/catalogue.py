"""The catalogue as data: plans that can be bought, operations that can be asked for, and their risk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from services.contracts.domain.agreement import Language, Risk
from services.contracts.domain.risk import Hazard, Lowering, risk_of
from services.contracts.domain.service_hours import DAY_AND_NIGHT, ServiceHours
from shared.kernel.errors import Invalid, NotFound
from shared.kernel.money import Money


class OutsideCatalogue(Invalid):
    """Only what the catalogue lists can be bought or asked for."""

    clause: ClassVar[str | None] = "3.1"


class NoSuchPlan(NotFound):
    """The catalogue lists no such plan, nor ever did."""


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
    """A published version of a plan never changes; a new price is a new version.

    `local_backup_every_hours` None: as often as the agreement says. Offered from `offered_from` (None: ever since) up
    to, and not including, `offered_until` (None: for good); these two say what may be bought and not what was.
    """

    code: str
    version: int
    names: Mapping[Language, str]
    fee: Money
    term_months: int
    operations: frozenset[str]
    service_hours: ServiceHours = DAY_AND_NIGHT
    local_backup_every_hours: int | None = None
    offered_from: datetime | None = None
    offered_until: datetime | None = None

    def has_begun(self, now: datetime) -> bool:
        return self.offered_from is None or self.offered_from <= now

    def is_withdrawn(self, now: datetime) -> bool:
        return self.offered_until is not None and self.offered_until <= now

    def backup_every_hours(self, at_least_every: int) -> int:
        """The plan's own rhythm, never slower than the agreement's (2.2)."""
        return min(self.local_backup_every_hours or at_least_every, at_least_every)

    @property
    def definition(self) -> str:
        """What somebody buys, in one canonical JSON, which is what the SHA-256 is of."""
        bought: dict[str, Any] = {
            "code": self.code,
            "version": self.version,
            "fee_minor": self.fee.minor,
            "currency": self.fee.currency,
            "term_months": self.term_months,
            "operations": sorted(self.operations),
            "service_hours": self.service_hours.shown(),
            "local_backup_every_hours": self.local_backup_every_hours,
        }
        return json.dumps(bought, sort_keys=True, separators=(",", ":"))

    @property
    def definition_sha256(self) -> str:
        return hashlib.sha256(self.definition.encode()).hexdigest()


@dataclass(frozen=True)
class Catalogue:
    plans: tuple[Plan, ...]
    operations: tuple[Operation, ...]

    def offered(self, now: datetime) -> list[Plan]:
        """What may be bought now, by code: of every plan the newest version that has begun, unless it is withdrawn."""
        newest: dict[str, Plan] = {}
        for plan in sorted(self.plans, key=lambda plan: plan.version):
            if plan.has_begun(now):
                newest[plan.code] = plan
        return sorted((plan for plan in newest.values() if not plan.is_withdrawn(now)), key=lambda plan: plan.code)

    def to_buy(self, code: str, *, now: datetime, agreement_version: str) -> Plan:
        """The version that is bought, or renewed into, now; raises OutsideCatalogue naming what is offered instead."""
        for plan in self.offered(now):
            if plan.code == code:
                return plan
        raise self._not_offered(self.plan(code, agreement_version=agreement_version), now, agreement_version)

    def drafted(self, code: str, version: int, *, now: datetime, agreement_version: str) -> Plan:
        """The very version that a draft names, unless it was withdrawn since; raises OutsideCatalogue as `to_buy`."""
        plan = self.plan(code, version=version, agreement_version=agreement_version)
        if plan.is_withdrawn(now):
            raise self._not_offered(plan, now, agreement_version)
        return plan

    def _not_offered(self, plan: Plan, now: datetime, agreement_version: str) -> OutsideCatalogue:
        alike = [other.code for other in self.offered(now) if other.fee.currency == plan.fee.currency]
        return OutsideCatalogue(
            "The plan is not offered at the moment.",
            field="plan_code",
            agreement_version=agreement_version,
            plan_code=plan.code,
            offered=alike,
        )

    def plan(self, code: str, *, agreement_version: str, version: int | None = None) -> Plan:
        """The plan of that code, newest unless a version is named, offered or not; raises OutsideCatalogue."""
        found = [plan for plan in self.plans if plan.code == code and version in (None, plan.version)]
        if not found:
            raise OutsideCatalogue(
                "The catalogue lists no such plan.", field="plan_code", agreement_version=agreement_version
            )
        return max(found, key=lambda plan: plan.version)

    def versions_of(self, code: str) -> list[Plan]:
        """Every version of the plan, oldest first; raises NoSuchPlan."""
        found = sorted((plan for plan in self.plans if plan.code == code), key=lambda plan: plan.version)
        if not found:
            raise NoSuchPlan()
        return found

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
