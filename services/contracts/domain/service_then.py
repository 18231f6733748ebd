"""Whether a contract was served at an instant of the past, and if not, why it had ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.contracts.domain.contract import ENDED, Contract, ContractStatus
from services.contracts.domain.happening import EndReason


@dataclass(frozen=True, kw_only=True)
class PaidPeriod:
    """A period that was paid for, as it is stored."""

    index: int
    agreement_version: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class ServiceThen:
    """`period_index` is that of the period at that time, or of the last one before it."""

    period_index: int
    agreement_version: str
    served: bool
    ended_at: datetime | None = None
    end_reason: EndReason | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "period_index": self.period_index,
            "served": self.served,
            "ended_at": self.ended_at and self.ended_at.isoformat(),
            "end_reason": self.end_reason and self.end_reason.value,
        }


def service_then(
    contract: Contract, *, before: PaidPeriod | None, after: PaidPeriod | None, at: datetime
) -> ServiceThen | None:
    """None: `at` lies before the service began. `before`, `after`: the paid periods around `at`."""
    if before is None:
        return None
    here: dict[str, Any] = {"period_index": before.index, "agreement_version": before.agreement_version}
    if contract.status is ContractStatus.REFUNDED and contract.ended_at is not None and contract.ended_at <= at:
        return ServiceThen(**here, served=False, ended_at=contract.ended_at, end_reason=contract.end_reason)
    if at < before.ends_at:
        return ServiceThen(**here, served=True)
    if after is not None:
        # It was bought again later; in between nobody had paid.
        return ServiceThen(**here, served=False, ended_at=before.ends_at, end_reason=EndReason.NOT_RENEWED)
    if contract.status not in ENDED or contract.ended_at is None or at < contract.ended_at:
        # It is held, or it was until it ended.
        return ServiceThen(**here, served=True)
    return ServiceThen(**here, served=False, ended_at=contract.ended_at, end_reason=contract.end_reason)
