"""Which contracts an agreement version would reach: those that renew by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.agreement import Agreement, Agreements
from shared.kernel.errors import Conflict


class AlreadyInEffect(Conflict):
    """This version is in effect already: contracts renew by it, and their acceptances say which."""

    clause: ClassVar[str | None] = "3.3"


class Certainty(StrEnum):
    CERTAIN = "certain"
    """The whole window of the next decision lies after the version takes effect."""
    OPEN = "open"
    """The version takes effect in that window: who renews earlier does so by the version before."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """From when on a version is what renewals accept, and until when: None until a later one is published."""

    version: str
    since: datetime
    until: datetime | None

    @classmethod
    def of(cls, agreement: Agreement, published: Agreements, now: datetime) -> Span:
        """Raises AlreadyInEffect."""
        if agreement.effective_from <= now:
            raise AlreadyInEffect(
                agreement_version=agreement.version, effective_from=agreement.effective_from.isoformat()
            )
        later = published.after(agreement)
        return cls(
            version=agreement.version, since=agreement.effective_from, until=later.effective_from if later else None
        )


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A live contract whose next undecided renewal is decided between `opens_at` and `closes_at`."""

    contract_id: UUID
    customer_id: UUID
    agreement_version: str
    plan_code: str
    term_months: int
    opens_at: datetime
    closes_at: datetime
    certainty: Certainty


@dataclass(frozen=True, kw_only=True)
class ReachedPlan:
    plan_code: str
    term_months: int
    contracts: int
    certain: int
