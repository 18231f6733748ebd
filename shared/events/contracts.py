"""What the contracts service tells: customers, servers, contracts and their periods, work requests."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.events.envelope import Amount, AwareDatetime, Fact

Text = Annotated[str, Field(max_length=200)]


class ContractsFact(Fact):
    producer: ClassVar[str] = "contracts"


class CustomerRegistered(ContractsFact):
    """A customer registered; contact data stays where the customer gave it."""

    aggregate: ClassVar[str] = "customer"
    kind: ClassVar[str] = "customer-registered"
    key: ClassVar[str] = "customer_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"registered_at"})

    language: Literal["en", "zh"]
    zone: Text
    registered_at: AwareDatetime


class ZoneChanged(ContractsFact):
    """A customer moved to another time zone; its contracts keep the zone they were drafted in."""

    aggregate: ClassVar[str] = "customer"
    kind: ClassVar[str] = "zone-changed"
    key: ClassVar[str] = "customer_id"

    zone: Text
    changed_at: AwareDatetime


class ServerRegistered(ContractsFact):
    """A customer named a server of its own."""

    aggregate: ClassVar[str] = "server"
    kind: ClassVar[str] = "server-registered"
    key: ClassVar[str] = "server_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"server_id", "registered_at"})

    server_id: UUID
    name: Text
    registered_at: AwareDatetime


class ContractFact(ContractsFact):
    aggregate: ClassVar[str] = "contract"
    key: ClassVar[str] = "contract_id"

    contract_id: UUID
    agreement_version: Text


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


class WorkRequestFact(ContractsFact):
    aggregate: ClassVar[str] = "work_request"
    key: ClassVar[str] = "work_request_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "decided_at"}
    )

    work_request_id: UUID
    contract_id: UUID
    agreement_version: Text
    operation_code: Text
    decided_at: AwareDatetime


class WorkRequested(WorkRequestFact):
    """A catalogue operation was asked for in writing."""

    kind: ClassVar[str] = "work-requested"


class WorkRefused(WorkRequestFact):
    """The company refused the work, with its reason on record."""

    kind: ClassVar[str] = "work-refused"


class WorkCompleted(WorkRequestFact):
    """The work was done."""

    kind: ClassVar[str] = "work-completed"


class WorkWithdrawn(WorkRequestFact):
    """The customer took the request back before it was decided."""

    kind: ClassVar[str] = "work-withdrawn"


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


class WorkProgressFact(ContractsFact):
    aggregate: ClassVar[str] = "work_request"
    key: ClassVar[str] = "work_request_id"

    work_request_id: UUID
    contract_id: UUID
    agreement_version: Text
    operation_code: Text


class WorkAssessed(WorkProgressFact):
    """A technician judged the risk, by the catalogue and the evidence of that moment."""

    kind: ClassVar[str] = "work-assessed"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "risk", "assessed_at"}
    )

    risk: Literal["low", "medium", "high"]
    assessed_at: AwareDatetime


class WorkAcknowledged(WorkProgressFact):
    """The customer signed the exact text about the risk."""

    kind: ClassVar[str] = "work-acknowledged"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "acknowledged_at"}
    )

    text_sha256: Annotated[str, Field(min_length=64, max_length=64)]
    acknowledged_at: AwareDatetime


class WorkAccepted(WorkProgressFact):
    """The company is going to do the work."""

    kind: ClassVar[str] = "work-accepted"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "accepted_at"}
    )

    accepted_at: AwareDatetime


class WorkScheduled(WorkProgressFact):
    """The company chose when and where the work is done."""

    kind: ClassVar[str] = "work-scheduled"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "starts_at", "ends_at", "place", "scheduled_at"}
    )

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    place: Literal["on-site", "remote"]
    scheduled_at: AwareDatetime


class WorkRescheduled(WorkProgressFact):
    """The company chose another time, place or technician."""

    kind: ClassVar[str] = "work-rescheduled"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "starts_at", "ends_at", "place", "scheduled_at"}
    )

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    place: Literal["on-site", "remote"]
    scheduled_at: AwareDatetime


class WorkStarted(WorkProgressFact):
    """The technician began."""

    kind: ClassVar[str] = "work-started"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "server_id", "operation_code", "started_at"}
    )

    server_id: UUID
    started_at: AwareDatetime


class WorkFailed(WorkProgressFact):
    """The work could not be done, with its reason on record."""

    kind: ClassVar[str] = "work-failed"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "server_id", "operation_code", "failed_at"}
    )

    server_id: UUID
    failed_at: AwareDatetime


class WorkSignedOff(WorkProgressFact):
    """The customer found the work done, or said nothing until its time to object was over."""

    kind: ClassVar[str] = "work-signed-off"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"work_request_id", "contract_id", "operation_code", "by_customer", "signed_off_at"}
    )

    by_customer: bool
    signed_off_at: AwareDatetime


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
    CustomerRegistered,
    ZoneChanged,
    ServerRegistered,
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
    RefundRequested,
    RefundTakenBack,
    ServiceRefunded,
    WarrantyClaimed,
    WorkRequested,
    WorkRefused,
    WorkCompleted,
    WorkWithdrawn,
    ConditionsDeclaredUnmet,
    IncidentReported,
    IncidentDecided,
    AppealDecided,
    WorkAssessed,
    WorkAcknowledged,
    WorkAccepted,
    WorkScheduled,
    WorkRescheduled,
    WorkStarted,
    WorkFailed,
    WorkSignedOff,
    SecretRevealed,
    SecretDisclosed,
    DisclosedSecretReplaced,
    RotationOverdue,
]
