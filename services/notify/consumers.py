"""What the notify service does when a service speaks: word notices, and pass facts on to linked partners."""

from __future__ import annotations

from typing import Any

from services.notify.domain.notice import NoticeKind
from services.notify.use_cases import paging
from services.notify.use_cases.feeds import fan_out, recall_event, told_to_partners
from services.notify.use_cases.notices import ask_for_notice, hear_invoice, hear_period, hear_zone
from shared.events.backup import RemoteBackupApproved, RemoteBackupDeclined
from shared.events.billing import InvoiceIssued, PaymentAudited, RefundDeclined, RefundReleased
from shared.events.contracts import (
    AppealDecided,
    ConditionsDeclaredUnmet,
    ContractAccepted,
    CustomerRegistered,
    EmergencyAcknowledged,
    EmergencyEscalated,
    EmergencyReported,
    EmergencyResolved,
    EmergencyWithdrawn,
    ExtensionRefused,
    ExtensionRequested,
    IncidentDecided,
    RenewalRequested,
    RotationOverdue,
    SecretDisclosed,
    SecretRevealed,
    ServiceExpired,
    ServiceExpiring,
    ServiceExtended,
    ServiceHeld,
    ServiceRefunded,
    ServiceRegistered,
    ServiceRenewed,
    WorkCompleted,
    WorkFailed,
    WorkRefused,
    WorkRescheduled,
    WorkScheduled,
    ZoneChanged,
)
from shared.events.envelope import Envelope
from shared.events.registry import TOPICS, fact_of
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.restoring import Memory
from shared.kit.db import Transaction

NO_PERIOD = 0

handlers = Handlers()
memory = Memory(topics=told_to_partners, recall=recall_event)

ExtensionFact = ExtensionRequested | ServiceExtended | ExtensionRefused
IncidentFact = IncidentDecided | AppealDecided
EndFact = ServiceExpired | ServiceRefunded
ServiceFact = ServiceRegistered | ServiceExpiring | ServiceRenewed | ServiceHeld | EndFact | ExtensionFact


@handlers.on_any(topics=TOPICS)
async def pass_on_to_partners(tx: Transaction, envelope: Envelope) -> None:
    fact = fact_of(envelope)
    if fact is not None:
        await fan_out(tx, fact, envelope)


@handlers.on(CustomerRegistered)
async def hear_of_customer(tx: Transaction, fact: CustomerRegistered, envelope: Envelope) -> None:
    await hear_zone(tx, fact.customer_id, fact.zone)


@handlers.on(ZoneChanged)
async def hear_of_another_zone(tx: Transaction, fact: ZoneChanged, envelope: Envelope) -> None:
    await hear_zone(tx, fact.customer_id, fact.zone)


@handlers.on(ContractAccepted)
async def hear_of_acceptance(tx: Transaction, fact: ContractAccepted, envelope: Envelope) -> None:
    await _hear_period(tx, fact)


@handlers.on(RenewalRequested)
async def hear_of_renewal(tx: Transaction, fact: RenewalRequested, envelope: Envelope) -> None:
    await _hear_period(tx, fact)


@handlers.on(InvoiceIssued)
async def send_invoice_notice(tx: Transaction, fact: InvoiceIssued, envelope: Envelope) -> None:
    await hear_invoice(tx, fact.customer_id, fact.invoice_id, fact.number)
    await ask_for_notice(
        tx,
        NoticeKind.INVOICE_ISSUED,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.invoice_id,
        invoice_id=fact.invoice_id,
        period_index=fact.period_index,
        facts=fact.model_dump(mode="json", include={"net", "tax", "mailing", "total", "issued_at"}),
    )


@handlers.on(PaymentAudited)
async def send_audit_notice(tx: Transaction, fact: PaymentAudited, envelope: Envelope) -> None:
    approved = fact.verdict == "approved"
    await ask_for_notice(
        tx,
        NoticeKind.PAYMENT_APPROVED if approved else NoticeKind.PAYMENT_REJECTED,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.payment_id,
        invoice_id=fact.invoice_id,
        period_index=fact.period_index,
        facts=fact.model_dump(
            mode="json", include={"amount", "invoice_covered", "outstanding", "reported_at", "audited_at"}
        ),
    )


@handlers.on(ServiceRegistered)
async def send_registration_notice(tx: Transaction, fact: ServiceRegistered, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.SERVICE_REGISTERED, fact, envelope)


@handlers.on(ServiceExpiring)
async def send_expiry_warning(tx: Transaction, fact: ServiceExpiring, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.SERVICE_EXPIRING, fact, envelope)


@handlers.on(ServiceRenewed)
async def send_renewal_notice(tx: Transaction, fact: ServiceRenewed, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.SERVICE_RENEWED, fact, envelope)


@handlers.on(ServiceHeld)
async def send_hold_notice(tx: Transaction, fact: ServiceHeld, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.SERVICE_HELD, fact, envelope)


@handlers.on(ExtensionRequested)
async def send_receipt_of_explanation(tx: Transaction, fact: ExtensionRequested, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.EXTENSION_REQUESTED, fact, envelope)


@handlers.on(ServiceExtended)
async def send_extension_notice(tx: Transaction, fact: ServiceExtended, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.SERVICE_EXTENDED, fact, envelope)


@handlers.on(ExtensionRefused)
async def send_refusal_of_extension(tx: Transaction, fact: ExtensionRefused, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.EXTENSION_REFUSED, fact, envelope)


@handlers.on(ServiceExpired)
async def send_expiry_notice(tx: Transaction, fact: ServiceExpired, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.SERVICE_EXPIRED, fact, envelope)


@handlers.on(ConditionsDeclaredUnmet)
async def send_word_of_unmet_conditions(tx: Transaction, fact: ConditionsDeclaredUnmet, envelope: Envelope) -> None:
    await _hear_period(tx, fact)
    await ask_for_notice(
        tx,
        NoticeKind.CONDITIONS_UNMET,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.contract_id,
        period_index=fact.period_index,
        facts=fact.model_dump(mode="json", include={"server_id", "unmet", "declared_at"}),
    )


@handlers.on(IncidentDecided)
async def send_incident_decision(tx: Transaction, fact: IncidentDecided, envelope: Envelope) -> None:
    await _send_incident_notice(tx, NoticeKind.INCIDENT_DECIDED, fact, envelope)


@handlers.on(AppealDecided)
async def send_appeal_decision(tx: Transaction, fact: AppealDecided, envelope: Envelope) -> None:
    await _send_incident_notice(tx, NoticeKind.APPEAL_DECIDED, fact, envelope)


async def _send_incident_notice(tx: Transaction, kind: NoticeKind, fact: IncidentFact, envelope: Envelope) -> None:
    await _hear_period(tx, fact)
    said = fact.model_dump(mode="json", include={"incident_id", "server_id", "liability", "verdict", "decided_at"})
    await ask_for_notice(
        tx,
        kind,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.incident_id,
        period_index=fact.period_index,
        facts={**said, "cites": fact.clause},
    )


@handlers.on(EmergencyReported)
async def call_support(tx: Transaction, fact: EmergencyReported, envelope: Envelope) -> None:
    await paging.hear_of_call(tx, fact)
    await _send_emergency_notice(tx, NoticeKind.EMERGENCY_REPORTED, fact, envelope)


@handlers.on(EmergencyEscalated)
async def call_the_next(tx: Transaction, fact: EmergencyEscalated, envelope: Envelope) -> None:
    await paging.hear_of_call(tx, fact)


@handlers.on(EmergencyAcknowledged)
async def call_nobody_else(tx: Transaction, fact: EmergencyAcknowledged, envelope: Envelope) -> None:
    await paging.hear_of_end(tx, fact)
    await _send_emergency_notice(tx, NoticeKind.EMERGENCY_ACKNOWLEDGED, fact, envelope)


@handlers.on(EmergencyWithdrawn)
async def call_it_off(tx: Transaction, fact: EmergencyWithdrawn, envelope: Envelope) -> None:
    await paging.hear_of_end(tx, fact)


@handlers.on(EmergencyResolved)
async def send_end_of_emergency(tx: Transaction, fact: EmergencyResolved, envelope: Envelope) -> None:
    await _send_emergency_notice(tx, NoticeKind.EMERGENCY_RESOLVED, fact, envelope)


EmergencyFact = EmergencyReported | EmergencyAcknowledged | EmergencyResolved
_EMERGENCY_FACTS = {
    "emergency_id",
    "server_id",
    "reported_at",
    "acknowledge_by",
    "acknowledged_at",
    "outcome",
    "resolved_at",
}


async def _send_emergency_notice(tx: Transaction, kind: NoticeKind, fact: EmergencyFact, envelope: Envelope) -> None:
    await _hear_period(tx, fact)
    await ask_for_notice(
        tx,
        kind,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.emergency_id,
        period_index=fact.period_index,
        facts=fact.model_dump(mode="json", include=_EMERGENCY_FACTS),
    )


@handlers.on(SecretRevealed)
async def send_reveal_notice(tx: Transaction, fact: SecretRevealed, envelope: Envelope) -> None:
    await _send_vault_notice(tx, NoticeKind.SECRET_REVEALED, fact, envelope)


@handlers.on(SecretDisclosed)
async def send_disclosure_notice(tx: Transaction, fact: SecretDisclosed, envelope: Envelope) -> None:
    await _send_vault_notice(tx, NoticeKind.SECRET_DISCLOSED, fact, envelope)


@handlers.on(RotationOverdue)
async def send_rotation_warning(tx: Transaction, fact: RotationOverdue, envelope: Envelope) -> None:
    await _send_vault_notice(tx, NoticeKind.ROTATION_OVERDUE, fact, envelope)


_VAULT_FACTS = {
    "server_id",
    "secret_id",
    "secret_version",
    "work_request_id",
    "revealed_at",
    "secret_kind",
    "responsible",
    "disclosed_at",
    "reported_at",
    "replace_by",
    "overdue_at",
}


async def _send_vault_notice(
    tx: Transaction, kind: NoticeKind, fact: SecretRevealed | SecretDisclosed | RotationOverdue, envelope: Envelope
) -> None:
    await ask_for_notice(
        tx,
        kind,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.contract_id,
        period_index=fact.period_index,
        facts=fact.model_dump(mode="json", include=_VAULT_FACTS),
    )


@handlers.on(ServiceRefunded)
async def send_end_by_refund_notice(tx: Transaction, fact: ServiceRefunded, envelope: Envelope) -> None:
    await _send_service_notice(tx, NoticeKind.SERVICE_REFUNDED, fact, envelope)


@handlers.on(RefundReleased)
async def send_refund_notice(tx: Transaction, fact: RefundReleased, envelope: Envelope) -> None:
    said = fact.model_dump(mode="json", include={"amount", "credit_note_number", "released_at"})
    await _send_notice_of_refund(tx, NoticeKind.REFUND_RELEASED, fact, envelope, said)


@handlers.on(RefundDeclined)
async def send_refusal_of_refund(tx: Transaction, fact: RefundDeclined, envelope: Envelope) -> None:
    said = fact.model_dump(mode="json", include={"reason", "declined_at"})
    await _send_notice_of_refund(tx, NoticeKind.REFUND_DECLINED, fact, envelope, said)


async def _send_notice_of_refund(
    tx: Transaction,
    kind: NoticeKind,
    fact: RefundReleased | RefundDeclined,
    envelope: Envelope,
    said: dict[str, Any],
) -> None:
    await ask_for_notice(
        tx,
        kind,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.refund_id,
        invoice_id=fact.invoice_id,
        period_index=fact.period_index,
        facts=said,
    )


_SERVICE_FACTS = {
    "starts_at",
    "ends_at",
    "ended_at",
    "window_opens_at",
    "standing_decision",
    "reason",
    "retention_days",
    "local_backup_every_hours",
    "restore_target_hours",
    "requested_at",
    "extended_until",
    "was_ended",
    "refused_at",
}


async def _send_service_notice(tx: Transaction, kind: NoticeKind, fact: ServiceFact, envelope: Envelope) -> None:
    await _hear_period(tx, fact)
    said = fact.model_dump(mode="json", include=_SERVICE_FACTS)
    if isinstance(fact, ServiceRegistered):
        said["server_count"] = len(fact.server_ids)
    await ask_for_notice(
        tx,
        kind,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.contract_id,
        period_index=fact.period_index,
        facts=said,
    )


@handlers.on(RemoteBackupApproved)
async def send_approval_of_remote_backup(tx: Transaction, fact: RemoteBackupApproved, envelope: Envelope) -> None:
    await _send_remote_notice(tx, NoticeKind.REMOTE_BACKUP_APPROVED, fact, envelope)


@handlers.on(RemoteBackupDeclined)
async def send_refusal_of_remote_backup(tx: Transaction, fact: RemoteBackupDeclined, envelope: Envelope) -> None:
    await _send_remote_notice(tx, NoticeKind.REMOTE_BACKUP_DECLINED, fact, envelope)


async def _send_remote_notice(
    tx: Transaction, kind: NoticeKind, fact: RemoteBackupApproved | RemoteBackupDeclined, envelope: Envelope
) -> None:
    said = fact.model_dump(mode="json", include={"server_id", "every_hours", "approved_at", "reason", "declined_at"})
    await ask_for_notice(
        tx,
        kind,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.application_id,
        period_index=NO_PERIOD,
        facts={**said, "ruled_by": fact.agreement_version},
    )


@handlers.on(WorkScheduled)
async def send_schedule(tx: Transaction, fact: WorkScheduled, envelope: Envelope) -> None:
    await _send_work_notice(tx, NoticeKind.WORK_SCHEDULED, fact, envelope, moved=False)


@handlers.on(WorkRescheduled)
async def send_another_schedule(tx: Transaction, fact: WorkRescheduled, envelope: Envelope) -> None:
    await _send_work_notice(tx, NoticeKind.WORK_SCHEDULED, fact, envelope, moved=True)


@handlers.on(WorkRefused)
async def send_refusal_of_work(tx: Transaction, fact: WorkRefused, envelope: Envelope) -> None:
    await _send_work_notice(tx, NoticeKind.WORK_REFUSED, fact, envelope)


@handlers.on(WorkCompleted)
async def send_completion_of_work(tx: Transaction, fact: WorkCompleted, envelope: Envelope) -> None:
    await _send_work_notice(tx, NoticeKind.WORK_COMPLETED, fact, envelope)


@handlers.on(WorkFailed)
async def send_failure_of_work(tx: Transaction, fact: WorkFailed, envelope: Envelope) -> None:
    await _send_work_notice(tx, NoticeKind.WORK_FAILED, fact, envelope)


WorkFact = WorkScheduled | WorkRescheduled | WorkRefused | WorkCompleted | WorkFailed
_WORK_FACTS = {"work_request_id", "operation_code", "starts_at", "ends_at", "place", "decided_at", "failed_at"}


async def _send_work_notice(
    tx: Transaction, kind: NoticeKind, fact: WorkFact, envelope: Envelope, **more: bool
) -> None:
    said = fact.model_dump(mode="json", include=_WORK_FACTS)
    await ask_for_notice(
        tx,
        kind,
        caused_by=envelope.id,
        customer_id=fact.customer_id,
        contract_id=fact.contract_id,
        subject_id=fact.work_request_id,
        period_index=NO_PERIOD,
        facts={**said, **more, "ruled_by": fact.agreement_version},
    )


async def _hear_period(
    tx: Transaction,
    fact: ContractAccepted | RenewalRequested | ServiceFact | ConditionsDeclaredUnmet | IncidentFact | EmergencyFact,
) -> None:
    await hear_period(
        tx,
        fact.customer_id,
        fact.contract_id,
        period_index=fact.period_index,
        agreement_version=fact.agreement_version,
        zone=getattr(fact, "zone", None),
    )
