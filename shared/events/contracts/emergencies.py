"""Emergencies, from the customer's call to their end; what was seen and done stays with contracts."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.events.contracts.producer import ContractsFact, Text
from shared.events.envelope import AwareDatetime, Fact

_SHOWN = frozenset({"emergency_id", "contract_id", "server_id"})


class EmergencyFact(ContractsFact):
    aggregate: ClassVar[str] = "emergency"
    key: ClassVar[str] = "emergency_id"

    emergency_id: UUID
    contract_id: UUID
    agreement_version: Text
    period_index: int
    server_id: UUID


class EmergencyReported(EmergencyFact):
    """A customer called technical support about a server: whoever is on call is to be paged."""

    kind: ClassVar[str] = "emergency-reported"
    for_partners: ClassVar[frozenset[str] | None] = _SHOWN | {"reported_at", "acknowledge_by"}

    reported_at: AwareDatetime
    acknowledge_by: AwareDatetime


class EmergencyEscalated(EmergencyFact):
    """Nobody acknowledged it in time: the next ones are to be paged."""

    kind: ClassVar[str] = "emergency-escalated"
    for_partners: ClassVar[frozenset[str] | None] = _SHOWN | {"escalation", "escalated_at"}

    escalation: int
    """From 1; 0 would be the first page."""
    reported_at: AwareDatetime
    acknowledge_by: AwareDatetime
    escalated_at: AwareDatetime


class EmergencyAcknowledged(EmergencyFact):
    """Somebody has taken it on; nobody else is paged."""

    kind: ClassVar[str] = "emergency-acknowledged"
    for_partners: ClassVar[frozenset[str] | None] = _SHOWN | {"in_time", "acknowledged_at"}

    in_time: bool
    acknowledged_at: AwareDatetime


class EmergencyResolved(EmergencyFact):
    """It is over."""

    kind: ClassVar[str] = "emergency-resolved"
    for_partners: ClassVar[frozenset[str] | None] = _SHOWN | {"outcome", "resolved_at"}

    outcome: Literal["restored", "work-requested", "not-ours", "false-alarm"]
    work_request_id: UUID | None
    resolved_at: AwareDatetime


class EmergencyWithdrawn(EmergencyFact):
    """The customer called it off."""

    kind: ClassVar[str] = "emergency-withdrawn"
    for_partners: ClassVar[frozenset[str] | None] = _SHOWN | {"withdrawn_at"}

    withdrawn_at: AwareDatetime


FACTS: list[type[Fact]] = [
    EmergencyReported,
    EmergencyEscalated,
    EmergencyAcknowledged,
    EmergencyResolved,
    EmergencyWithdrawn,
]
