"""A payment for a period, as billing told it: reported, then audited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Verdict(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Payment:
    """`verdict` and `audited_at` are None while finance has yet to audit it."""

    id: UUID
    period_index: int
    reported_at: datetime
    verdict: Verdict | None = None
    covers: bool = False
    audited_at: datetime | None = None

    @property
    def in_audit(self) -> bool:
        return self.verdict is None
