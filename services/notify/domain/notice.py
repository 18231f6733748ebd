"""A notice: one message to a customer because of one event, worded once everything it says has been heard."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from services.notify.domain.attempt import Answer, Outcome, delay_after
from services.notify.domain.judgements import judgements
from shared.kernel.errors import NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle


class NoSuchNotice(NotFound):
    """There is no such notice, or it is not yours."""


class NoticeKind(StrEnum):
    INVOICE_ISSUED = "invoice-issued"
    PAYMENT_APPROVED = "payment-approved"
    PAYMENT_REJECTED = "payment-rejected"
    SERVICE_REGISTERED = "service-registered"
    SERVICE_EXPIRING = "service-expiring"
    SERVICE_RENEWED = "service-renewed"
    SERVICE_HELD = "service-held"
    EXTENSION_REQUESTED = "extension-requested"
    SERVICE_EXTENDED = "service-extended"
    EXTENSION_REFUSED = "extension-refused"
    SERVICE_EXPIRED = "service-expired"
    CONDITIONS_UNMET = "conditions-unmet"
    INCIDENT_DECIDED = "incident-decided"
    APPEAL_DECIDED = "appeal-decided"
    SECRET_REVEALED = "secret-revealed"  # noqa: S105
    SECRET_DISCLOSED = "secret-disclosed"  # noqa: S105
    ROTATION_OVERDUE = "rotation-overdue"
    WORK_SCHEDULED = "work-scheduled"
    WORK_REFUSED = "work-refused"
    WORK_COMPLETED = "work-completed"
    WORK_FAILED = "work-failed"
    REFUND_RELEASED = "refund-released"
    REFUND_DECLINED = "refund-declined"
    SERVICE_REFUNDED = "service-refunded"
    REMOTE_BACKUP_APPROVED = "remote-backup-approved"
    REMOTE_BACKUP_DECLINED = "remote-backup-declined"
    EMERGENCY_REPORTED = "emergency-reported"
    EMERGENCY_ACKNOWLEDGED = "emergency-acknowledged"
    EMERGENCY_RESOLVED = "emergency-resolved"


CLAUSES: dict[NoticeKind, str] = {
    NoticeKind.INVOICE_ISSUED: "3.1",
    NoticeKind.PAYMENT_APPROVED: "3.2",
    NoticeKind.PAYMENT_REJECTED: "3.2",
    NoticeKind.SERVICE_REGISTERED: "3.2",
    NoticeKind.SERVICE_EXPIRING: "3.3",
    NoticeKind.SERVICE_RENEWED: "3.3",
    NoticeKind.SERVICE_HELD: "3.3",
    NoticeKind.EXTENSION_REQUESTED: "3.5",
    NoticeKind.SERVICE_EXTENDED: "3.5",
    NoticeKind.EXTENSION_REFUSED: "3.5",
    NoticeKind.SERVICE_EXPIRED: "3.4",
    NoticeKind.CONDITIONS_UNMET: "2.4",
    NoticeKind.INCIDENT_DECIDED: "2.1",
    NoticeKind.APPEAL_DECIDED: "2.1",
    NoticeKind.SECRET_REVEALED: "5.2",
    NoticeKind.SECRET_DISCLOSED: "5.2",
    NoticeKind.ROTATION_OVERDUE: "5.2",
    NoticeKind.WORK_SCHEDULED: "1.2",
    NoticeKind.WORK_REFUSED: "1.1",
    NoticeKind.WORK_COMPLETED: "1.2",
    NoticeKind.WORK_FAILED: "3.1",
    NoticeKind.REFUND_RELEASED: "6.2",
    NoticeKind.REFUND_DECLINED: "6.2",
    NoticeKind.SERVICE_REFUNDED: "6.2",
    NoticeKind.REMOTE_BACKUP_APPROVED: "2.3",
    NoticeKind.REMOTE_BACKUP_DECLINED: "2.3",
    NoticeKind.EMERGENCY_REPORTED: "1.3",
    NoticeKind.EMERGENCY_ACKNOWLEDGED: "1.3",
    NoticeKind.EMERGENCY_RESOLVED: "1.3",
}
"""What a notice of that kind cites, unless its facts name (`cites`) the clause that was decided by."""


class NoticeStatus(StrEnum):
    WAITING_FOR_FACTS = "waiting_for_facts"
    WAITING_FOR_CONTACT = "waiting_for_contact"
    PENDING = "pending"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"


WAITING_FOR_FACTS, WAITING_FOR_CONTACT, PENDING, DELIVERED, UNDELIVERABLE = NoticeStatus
WAITING = (WAITING_FOR_FACTS, WAITING_FOR_CONTACT)

NOTICE_LIFECYCLE = Lifecycle(
    "notice",
    [
        ("word", {WAITING_FOR_FACTS}, WAITING_FOR_CONTACT),
        ("address", {WAITING_FOR_CONTACT}, PENDING),
        ("deliver", {PENDING}, DELIVERED),
        ("refuse", {PENDING}, UNDELIVERABLE),
        ("give_up", {PENDING}, UNDELIVERABLE),
        ("retry", {UNDELIVERABLE}, PENDING),
    ],
)


@dataclass(frozen=True, kw_only=True)
class Background:
    """What has been heard so far of the contract and the invoice that a notice is about."""

    agreement_version: str | None = None
    zone: str | None = None
    invoice_number: str | None = None


@dataclass(eq=False, kw_only=True)
class Notice:
    """`facts` are what the causing event said, JSON-ready and without personal data.

    `period_index` is 0 where the event tells of no period; its facts then name the agreement version (`ruled_by`).
    """

    id: UUID
    kind: NoticeKind
    caused_by: UUID
    customer_id: UUID
    contract_id: UUID
    subject_id: UUID
    period_index: int
    facts: dict[str, Any]
    created_at: datetime
    invoice_id: UUID | None = None
    background: Background = field(default_factory=Background)
    status: NoticeStatus = WAITING_FOR_FACTS
    failure: Literal["refused", "expired"] | None = None
    tries: int = 0
    settled_at: datetime | None = None
    version: int = 0

    @property
    def clause(self) -> str:
        return _cited(self.kind, self.facts)

    @property
    def agreement_version(self) -> str:
        return self.background.agreement_version or ""

    def word(self, heard: Background) -> bool:
        """Take over what has been heard; True once that is all the notice says."""
        heard = replace(heard, agreement_version=heard.agreement_version or self.facts.get("ruled_by"))
        complete = (
            heard.agreement_version is not None
            and heard.zone is not None
            and (self.invoice_id is None or heard.invoice_number is not None)
        )
        if complete:
            self.status = NOTICE_LIFECYCLE.after("word", self.status)
            self.background = heard
        return complete

    def address(self) -> None:
        """There is a contact to send it to."""
        self.status = NOTICE_LIFECYCLE.after("address", self.status)

    @property
    def has_tries_left(self) -> bool:
        return delay_after(self.tries) is not None

    def settle(self, answer: Answer, *, now: datetime) -> None:
        """Conclude from the mail server's answer; a deferred notice stays pending until its tries are used up."""
        if answer.outcome is Outcome.ACCEPTED:
            self.status = NOTICE_LIFECYCLE.after("deliver", self.status)
        elif answer.outcome is Outcome.REFUSED:
            self.status, self.failure = NOTICE_LIFECYCLE.after("refuse", self.status), "refused"
        elif not self.has_tries_left:
            self.status, self.failure = NOTICE_LIFECYCLE.after("give_up", self.status), "expired"
        self.settled_at = None if self.status is PENDING else now

    def retry(self) -> None:
        """Support has it tried again from the beginning; raises IllegalMove."""
        self.status = NOTICE_LIFECYCLE.after("retry", self.status)
        self.failure, self.settled_at, self.tries = None, None, 0


@judgements.on("notice.settle")
def settling(facts: Facts, _parameters: Facts) -> Verdict:
    """What the mail server answered, under the clause that asks for the notice; pending while it may be tried again."""
    outcome = Answer(facts["smtp_code"], "", about_message=facts["about_message"]).outcome
    clause = _cited(NoticeKind(facts["notice_kind"]), facts)
    if outcome is Outcome.ACCEPTED:
        return Verdict(DELIVERED.value, clause)
    given_up = outcome is Outcome.REFUSED or not facts["has_tries_left"]
    return Verdict((UNDELIVERABLE if given_up else PENDING).value, clause)


def _cited(kind: NoticeKind, facts: Facts) -> str:
    return str(facts.get("cites") or CLAUSES[kind])
