"""The warranty of a service: when it opens and ends by the agreement's parameters, and claims in it (6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from services.contracts.domain.agreement import UNTIL_THE_SERVICE_ENDS
from services.contracts.domain.judgements import judgements
from services.contracts.domain.work_request import WorkStatus
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.period import days_after

CLAUSE = "6.1"
DONE = frozenset({WorkStatus.COMPLETED, WorkStatus.SIGNED_OFF})


class NoSuchWarrantyClaim(NotFound):
    """There is no such warranty claim, or it is not yours."""


class WarrantyNotOpen(Conflict):
    """The warranty has not begun yet."""

    clause: ClassVar[str | None] = CLAUSE


class WarrantyOver(Conflict):
    """The warranty is over."""

    clause: ClassVar[str | None] = CLAUSE


class NothingUnderWarranty(Conflict):
    """The warranty is claimed for work that was done on a server of the contract."""

    clause: ClassVar[str | None] = CLAUSE


class AlreadyClaimed(Conflict):
    """The warranty has been claimed for this work, and that is under way."""

    clause: ClassVar[str | None] = CLAUSE


@dataclass(frozen=True, kw_only=True)
class Warranty:
    """From `opens_at` up to, and not including, `ends_at`; None while the service goes on without another end."""

    opens_at: datetime
    ends_at: datetime | None
    lasts: str | int

    def is_open(self, now: datetime) -> bool:
        return self.opens_at <= now and (self.ends_at is None or now < self.ends_at)


@dataclass(frozen=True, kw_only=True)
class WarrantyClaim:
    """`claimed_work_request_id` is the work that was done, `work_request_id` the free one that the claim opened."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    period_index: int
    agreement_version: str
    claimed_work_request_id: UUID
    work_request_id: UUID
    channel: str
    claimed_by: str
    claimed_at: datetime


def warranty_of(
    began_at: datetime, *, ended_at: datetime | None, zone: str, starts_after_days: int, lasts: str | int
) -> Warranty:
    """Days are calendar days in the zone, never less than 24 h each. It never outlasts the service."""
    opens_at = days_after(began_at, starts_after_days, zone)
    if lasts == UNTIL_THE_SERVICE_ENDS:
        return Warranty(opens_at=opens_at, ends_at=ended_at, lasts=lasts)
    over_at = days_after(opens_at, int(lasts), zone)
    return Warranty(opens_at=opens_at, ends_at=min(over_at, ended_at) if ended_at else over_at, lasts=lasts)


@judgements.on("warranty.claim")
def claiming(facts: Facts, parameters: Facts) -> Verdict:
    """In writing, inside the warranty's time, for work that was done, once at a time.

    Raises NothingUnderWarranty, WarrantyNotOpen, WarrantyOver, AlreadyClaimed.
    """
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", "3.1")
    cited: dict[str, Any] = {"agreement_version": facts["agreement_version"]}
    warranty = warranty_of(
        _instant(facts["began_at"]),
        ended_at=_instant(facts["ended_at"]) if facts["ended_at"] else None,
        zone=facts["zone"],
        starts_after_days=parameters["warranty_starts_after_days"],
        lasts=parameters["warranty_lasts"],
    )
    claimed_at = _instant(facts["claimed_at"])
    if warranty.ends_at is not None and claimed_at >= warranty.ends_at:
        ended_at = warranty.ends_at.isoformat()
        raise WarrantyOver(f"The warranty ended at {ended_at}.", ended_at=ended_at, **cited)
    if claimed_at < warranty.opens_at:
        opens_at = warranty.opens_at.isoformat()
        raise WarrantyNotOpen(f"The warranty begins at {opens_at}.", opens_at=opens_at, **cited)
    work = facts["work"]
    if work is None or work["status"] not in DONE:
        raise NothingUnderWarranty(state=work and work["status"], **cited)
    if facts["under_way"] is not None:
        raise AlreadyClaimed(work_request_id=facts["under_way"], **cited)
    return Verdict("granted", CLAUSE)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
