"""How dangerous an operation is on a server, and which evidence makes it less so (1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.contracts.domain.agreement import Risk

HIGH_FROM, MEDIUM_FROM = 12, 6


class Evidence(StrEnum):
    VERIFIED_BACKUP = "verified-backup"
    """A backup of the server that was found again and read: told by the backup service."""
    REHEARSAL = "rehearsal"
    """The operation was carried out on a copy: the word of the technician who assesses."""


@dataclass(frozen=True, kw_only=True)
class Lowering:
    """Evidence that is younger than so many hours takes so much off likelihood and impact."""

    evidence: Evidence
    younger_than_hours: int
    likelihood: int = 0
    impact: int = 0

    def holds(self, seen_at: datetime | None, now: datetime) -> bool:
        return seen_at is not None and now - seen_at < timedelta(hours=self.younger_than_hours)

    def shown(self) -> dict[str, Any]:
        return {**vars(self), "evidence": self.evidence.value}


def risk_of(likelihood: int, impact: int) -> Risk:
    """The class of likelihood × impact: high from 12, medium from 6."""
    weight = likelihood * impact
    if weight >= HIGH_FROM:
        return Risk.HIGH
    return Risk.MEDIUM if weight >= MEDIUM_FROM else Risk.LOW


@dataclass(frozen=True, kw_only=True)
class Hazard:
    """`likelihood` and `impact` of going wrong, 1 to 5 each, and what lowers them."""

    likelihood: int
    impact: int
    lowered_by: tuple[Lowering, ...] = ()

    def lowered(self, seen: Mapping[Evidence, datetime], now: datetime) -> tuple[int, int]:
        """Likelihood and impact in the light of the evidence, 1 at least."""
        holding = [lowering for lowering in self.lowered_by if lowering.holds(seen.get(lowering.evidence), now)]
        likelihood = self.likelihood - sum(lowering.likelihood for lowering in holding)
        impact = self.impact - sum(lowering.impact for lowering in holding)
        return max(likelihood, 1), max(impact, 1)

    def risk(self, seen: Mapping[Evidence, datetime], now: datetime) -> Risk:
        return risk_of(*self.lowered(seen, now))

    def shown(self) -> dict[str, Any]:
        """JSON-ready; `of_shown` reads it back."""
        lowered_by = [lowering.shown() for lowering in self.lowered_by]
        return {"likelihood": self.likelihood, "impact": self.impact, "lowered_by": lowered_by}

    @classmethod
    def of_shown(cls, shown: Mapping[str, Any]) -> Hazard:
        lowered_by = tuple(
            Lowering(**{**lowering, "evidence": Evidence(lowering["evidence"])}) for lowering in shown["lowered_by"]
        )
        return cls(likelihood=shown["likelihood"], impact=shown["impact"], lowered_by=lowered_by)


@dataclass(frozen=True, kw_only=True)
class RiskAssessment:
    """A technician's judgement of one work request; `hazard` is what the catalogue said at that moment."""

    id: UUID
    work_request_id: UUID
    hazard: Hazard
    backup_completed_at: datetime | None
    rehearsed_at: datetime | None
    risk: Risk
    assessed_by: str
    assessed_at: datetime

    def seen(self, backup_completed_at: datetime | None) -> dict[Evidence, datetime]:
        """The evidence when `backup_completed_at` is the newest backup."""
        found = {Evidence.VERIFIED_BACKUP: backup_completed_at, Evidence.REHEARSAL: self.rehearsed_at}
        return {evidence: at for evidence, at in found.items() if at is not None}
