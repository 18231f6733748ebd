"""The life of a contract: accepted, served period by period, and ended."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.events.contracts.producer import ContractFact, Text
from shared.events.envelope import Amount, AwareDatetime, Fact


class ContractAccepted(ContractFact):
    """The customer accepted the exact text of an agreement version; billing may ask for the fee."""

    kind: ClassVar[str] = "contract-accepted"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "agreement_version", "plan_code", "term_months", "server_ids", "accepted_at"}
    )

    text_sha256: Annotated[str, Field(min_length=64, max_length=64)]
    language: Literal["en", "zh"]
    plan_code: Text
    plan_version: int
    term_months: int
    fee: Amount
    mailing_fee: Amount
    """The agreement version's fee for mailing a paper bill; charged only where one was asked for."""
    paper_bill: bool
    server_ids: list[UUID]
    period_index: int = 1
    accepted_at: AwareDatetime


class ContractWithdrawn(ContractFact):
    """The customer withdrew before the service was registered."""

    kind: ClassVar[str] = "contract-withdrawn"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"contract_id", "withdrawn_at"})

    withdrawn_at: AwareDatetime


class ServiceRegistered(ContractFact):
    """Finance approved the payment: the service exists from the audit's instant, `starts_at`."""

    kind: ClassVar[str] = "service-registered"
    minor: ClassVar[int] = 1
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "agreement_version", "period_index", "starts_at", "ends_at", "zone", "server_ids"}
    )

    period_index: int
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    zone: Text
    server_ids: list[UUID]
    payment_id: UUID
    local_backup_every_hours: int
    restore_target_hours: int
    retention_days: int
    """How long backups are kept after the service ends."""
    remote_backup_every_hours: int | None = None
    """Of servers for which an application was approved; None in facts of before."""


class ServiceExpiring(ContractFact):
    """The decision window opened; told once per period."""

    kind: ClassVar[str] = "service-expiring"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "period_index", "window_opens_at", "ends_at", "zone"}
    )

    period_index: int
    window_opens_at: AwareDatetime
    ends_at: AwareDatetime
    zone: Text
    standing_decision: Literal["renew", "stop"] | None = None


class RenewalRequested(ContractFact):
    """The customer renews: billing may ask for the fee of the next period."""

    kind: ClassVar[str] = "renewal-requested"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "agreement_version", "period_index", "starts_at", "ends_at", "requested_at"}
    )

    period_index: int
    plan_code: Text
    plan_version: int
    term_months: int
    fee: Amount
    mailing_fee: Amount
    paper_bill: bool
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    requested_at: AwareDatetime


class StopRequested(ContractFact):
    """The customer stops: the service ends with the present period."""

    kind: ClassVar[str] = "stop-requested"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "period_index", "ends_at", "requested_at"}
    )

    period_index: int
    ends_at: AwareDatetime
    requested_at: AwareDatetime


class ServiceRenewed(ContractFact):
    """The next period is paid and audited; it follows the present one without a gap."""

    kind: ClassVar[str] = "service-renewed"
    minor: ClassVar[int] = 1
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "agreement_version", "period_index", "starts_at", "ends_at", "zone"}
    )

    period_index: int
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    zone: Text
    payment_id: UUID
    local_backup_every_hours: int
    restore_target_hours: int
    retention_days: int
    remote_backup_every_hours: int | None = None


class RenewalRefused(ContractFact):
    """A payment that came in time cannot renew any more: its money is the customer's credit."""

    kind: ClassVar[str] = "renewal-refused"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"contract_id", "period_index", "reason", "refused_at"})

    period_index: int
    """Of the period that is not going to be served."""
    payment_id: UUID
    ended_at: AwareDatetime
    reason: Literal["servers-in-another-contract"]
    refused_at: AwareDatetime


class ServiceHeld(ContractFact):
    """A payment reported before the end is still in audit: the service goes on until the audit decides."""

    kind: ClassVar[str] = "service-held"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"contract_id", "period_index", "ends_at"})

    period_index: int
    ends_at: AwareDatetime
    payment_id: UUID


class ExtensionRequested(ContractFact):
    """The customer explained special circumstances before the end; what was said stays with contracts."""

    kind: ClassVar[str] = "extension-requested"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "period_index", "ends_at", "requested_at"}
    )

    extension_id: UUID
    period_index: int
    ends_at: AwareDatetime
    requested_at: AwareDatetime


class ServiceExtended(ContractFact):
    """Data and service are kept until `extended_until`, the end of the day `until_on`, whether or not they are paid."""

    kind: ClassVar[str] = "service-extended"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"contract_id", "agreement_version", "period_index", "ends_at", "extended_until", "zone"}
    )

    extension_id: UUID
    period_index: int
    ends_at: AwareDatetime
    """Of the period that is extended."""
    until_on: date
    extended_until: AwareDatetime
    zone: Text
    was_ended: bool
    """It was granted after the end: a service that had expired goes on from `extended_at`."""
    retention_days: int
    extended_at: AwareDatetime


class ExtensionRefused(ContractFact):
    """The company did not find the circumstances special; its reason stays with contracts."""

    kind: ClassVar[str] = "extension-refused"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"contract_id", "period_index", "ends_at", "refused_at"})

    extension_id: UUID
    period_index: int
    ends_at: AwareDatetime
    refused_at: AwareDatetime


class ServiceExpired(ContractFact):
    """The service ended at `ended_at`; backups stop and are kept for `retention_days`."""

    kind: ClassVar[str] = "service-expired"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"contract_id", "period_index", "ended_at", "reason"})

    period_index: int
    ended_at: AwareDatetime
    reason: Literal["not-renewed", "stopped-by-customer", "payment-not-approved"]
    server_ids: list[UUID]
    retention_days: int


FACTS: list[type[Fact]] = [
    ContractAccepted,
    ContractWithdrawn,
    ServiceRegistered,
    ServiceExpiring,
    RenewalRequested,
    StopRequested,
    ServiceRenewed,
    RenewalRefused,
    ServiceHeld,
    ExtensionRequested,
    ServiceExtended,
    ExtensionRefused,
    ServiceExpired,
]
