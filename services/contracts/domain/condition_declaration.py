"""Word to the customer that a server does not meet the conditions for maintenance (2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.kernel.errors import NotFound
from shared.kernel.lifecycle import Lifecycle


class NoSuchDeclaration(NotFound):
    """There is no such declaration, or it is not yours."""


class Condition(StrEnum):
    REACHABLE = "reachable"
    CREDENTIALS_VALID = "credentials-valid"
    SUPPORTED_SYSTEM = "supported-system"
    FREE_DISK = "free-disk"
    BACKUP_PRESENT = "backup-present"
    DECLARED_SOFTWARE = "declared-software"


class DeclarationStatus(StrEnum):
    DECLARED = "declared"
    LIFTED = "lifted"


DECLARATION_LIFECYCLE = Lifecycle[DeclarationStatus](
    "declaration", [("lift", {DeclarationStatus.DECLARED}, DeclarationStatus.LIFTED)]
)


@dataclass(eq=False, kw_only=True)
class ConditionDeclaration:
    """It stands from `declared_at` until it is lifted, because the conditions are met again."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    agreement_version: str
    unmet: tuple[Condition, ...]
    declared_at: datetime
    declared_by: str
    status: DeclarationStatus = DeclarationStatus.DECLARED
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    version: int = 1

    def lift(self, *, by: str, now: datetime) -> None:
        """Raises IllegalMove."""
        self.status = DECLARATION_LIFECYCLE.after("lift", self.status)
        self.lifted_by, self.lifted_at = by, now
