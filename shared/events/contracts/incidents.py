"""What went wrong, the conditions that were declared, and who answers for it."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.events.contracts.producer import ContractFact, ContractsFact, Text
from shared.events.envelope import AwareDatetime, Fact


class ConditionsDeclaredUnmet(ContractFact):
    """The customer was told that a server does not meet the conditions for maintenance."""

    kind: ClassVar[str] = "conditions-declared-unmet"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"contract_id", "server_id", "unmet", "declared_at"})

    declaration_id: UUID
    period_index: int
    server_id: UUID
    unmet: list[Text]
    declared_at: AwareDatetime


class IncidentFact(ContractsFact):
    aggregate: ClassVar[str] = "incident"
    key: ClassVar[str] = "incident_id"

    incident_id: UUID
    contract_id: UUID
    agreement_version: Text
    period_index: int
    """Of the period in which it happened, or of the last one before it."""
    server_id: UUID


class IncidentReported(IncidentFact):
    """Something happened to a server; what was seen stays with us."""

    kind: ClassVar[str] = "incident-reported"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"incident_id", "contract_id", "server_id", "happened_at", "reported_at"}
    )

    happened_at: AwareDatetime
    reported_at: AwareDatetime


class IncidentDecided(IncidentFact):
    """Who answers for the incident, by which clause. `company`: a refund of the period may be asked for (6.2)."""

    kind: ClassVar[str] = "incident-decided"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"incident_id", "contract_id", "server_id", "liability", "clause", "decided_at"}
    )

    cause: Text
    liability: Literal["company", "customer", "exempt", "no-loss"]
    clause: Text
    decided_at: AwareDatetime


class AppealDecided(IncidentFact):
    """Somebody else judged the incident once more; `liability` and `clause` are the last word."""

    kind: ClassVar[str] = "appeal-decided"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"incident_id", "contract_id", "server_id", "verdict", "liability", "clause", "decided_at"}
    )

    verdict: Literal["upheld", "changed"]
    cause: Text
    liability: Literal["company", "customer", "exempt", "no-loss"]
    clause: Text
    decided_at: AwareDatetime


FACTS: list[type[Fact]] = [
    ConditionsDeclaredUnmet,
    IncidentReported,
    IncidentDecided,
    AppealDecided,
]
