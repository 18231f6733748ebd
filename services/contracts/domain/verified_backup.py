"""The newest verified backup of a server, as the backup service told it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class VerifiedBackup:
    """Its snapshot was found again and a sample read back at `completed_at`; its data is still kept."""

    server_id: UUID
    contract_id: UUID
    protection_id: UUID
    run_id: UUID
    completed_at: datetime

    def is_younger_than(self, hours: int, now: datetime) -> bool:
        return now - self.completed_at < timedelta(hours=hours)
