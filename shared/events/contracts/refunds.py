"""What was asked back or claimed under warranty, and what became of it."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.events.contracts.producer import ContractFact, Text
from shared.events.envelope import AwareDatetime, Fact


class RefundRequested(ContractFact):
    """The customer asks for the full payment of a period back; billing prepares and releases it."""

    kind: ClassVar[str] = "refund-requested"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"refund_id", "contract_id", "agreement_version", "period_index", "ground", "requested_at"}
    )

    refund_id: UUID
    period_index: int
    ground: Literal["dissatisfied", "company-defect"]
    incident_id: UUID | None = None
    """The incident that the company answers for."""
    requested_at: AwareDatetime


class RefundTakenBack(ContractFact):
    """The customer takes its request back; it counts unless billing has released the refund by then."""

    kind: ClassVar[str] = "refund-taken-back"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"refund_id", "contract_id", "period_index", "taken_back_at"}
    )

    refund_id: UUID
    period_index: int
    taken_back_at: AwareDatetime


class ServiceRefunded(ContractFact):
    """The service ended for good, as the payment of a period was refunded; backups are kept for `retention_days`."""

    kind: ClassVar[str] = "service-refunded"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "period_index", "refunded_period_index", "ended_at"}
    )

    refund_id: UUID
    period_index: int
    """Of the period in which it ended; later ones are not served."""
    refunded_period_index: int
    last_period_index: int
    """The last period that was ever told of, begun or not."""
    ended_at: AwareDatetime
    server_ids: list[UUID]
    retention_days: int


class WarrantyClaimed(ContractFact):
    """The customer claims the warranty for work that was done; the work order that follows is free."""

    kind: ClassVar[str] = "warranty-claimed"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"claim_id", "contract_id", "agreement_version", "operation_code", "claimed_at"}
    )

    claim_id: UUID
    period_index: int
    server_id: UUID
    operation_code: Text
    claimed_work_request_id: UUID
    work_request_id: UUID
    """The work order that the claim opened."""
    claimed_at: AwareDatetime


FACTS: list[type[Fact]] = [
    RefundRequested,
    RefundTakenBack,
    ServiceRefunded,
    WarrantyClaimed,
]
