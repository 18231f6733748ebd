"""What was disclosed to us, and who was shown it; of the secrets themselves nothing."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.events.contracts.producer import ContractFact, Text
from shared.events.envelope import AwareDatetime, Fact


class SecretRevealed(ContractFact):
    """A secret of a server was shown to the technician of work in progress; told to the customer each time."""

    kind: ClassVar[str] = "secret-revealed"

    period_index: int
    work_request_id: UUID
    server_id: UUID
    secret_id: UUID
    secret_version: int
    revealed_at: AwareDatetime


class DisclosureFact(ContractFact):
    period_index: int
    """Of the period in which it was reported."""
    disclosure_id: UUID
    server_id: UUID
    secret_id: UUID | None = None
    """None for what the vault does not keep."""


class SecretDisclosed(DisclosureFact):
    """A disclosed secret was reported: whose responsibility it is, by which clause, and until when it is replaced."""

    kind: ClassVar[str] = "secret-disclosed"

    secret_kind: Literal["password", "ssh-key", "token", "other-information"]
    responsible: Literal["customer", "company", "undetermined"]
    clause: Text
    disclosed_at: AwareDatetime
    reported_at: AwareDatetime
    replace_by: AwareDatetime


class DisclosedSecretReplaced(DisclosureFact):
    """What was disclosed opens nothing any more; `in_time`: within the agreement's hours."""

    kind: ClassVar[str] = "disclosed-secret-replaced"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"contract_id", "server_id", "replaced_at", "in_time"})

    replaced_at: AwareDatetime
    in_time: bool


class RotationOverdue(DisclosureFact):
    """What was disclosed has not been replaced within the agreement's hours."""

    kind: ClassVar[str] = "rotation-overdue"

    replace_by: AwareDatetime
    overdue_at: AwareDatetime


FACTS: list[type[Fact]] = [
    SecretRevealed,
    SecretDisclosed,
    DisclosedSecretReplaced,
    RotationOverdue,
]
