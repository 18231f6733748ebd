"""The customer asks for the full payment of a period back; billing has the last word on the money (6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from services.contracts.domain.decision_table import AlreadyRefunded, RefundWindowClosed
from services.contracts.domain.judgements import judgements
from services.contracts.domain.liability import Liability
from services.contracts.domain.period import PeriodStatus
from shared.kernel.errors import Conflict, NotFound, Refusal
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle
from shared.kernel.period import days_after

CLAUSE = "6.2"


class NoSuchRefundRequest(NotFound):
    """There is no such request for a refund, or it is not yours."""


class PeriodNotPaid(Conflict):
    """Only a period that was bought and paid for is refunded."""

    clause: ClassVar[str | None] = CLAUSE


class NoCompanyDefect(Conflict):
    """The company does not answer for this incident in this period."""

    clause: ClassVar[str | None] = CLAUSE


class PaymentIsCredit(Conflict):
    """The service ended before this period: what was paid for it is your credit."""

    clause: ClassVar[str | None] = CLAUSE


class RefundStatus(StrEnum):
    REQUESTED = "requested"
    WITHDRAWING = "withdrawing"
    """The customer took it back; billing has yet to say whether in time."""
    WITHDRAWN = "withdrawn"
    DECLINED = "declined"
    RELEASED = "released"


REQUESTED, WITHDRAWING, WITHDRAWN, DECLINED, RELEASED = RefundStatus
REFUND_REQUEST_LIFECYCLE = Lifecycle[RefundStatus](
    "refund request",
    [
        ("take_back", {REQUESTED}, WITHDRAWING),
        # What billing says stands. From requested: after a restore, the taking back may be forgotten here.
        ("withdraw", {REQUESTED, WITHDRAWING}, WITHDRAWN),
        ("decline", {REQUESTED, WITHDRAWING}, DECLINED),
        ("release", {REQUESTED, WITHDRAWING}, RELEASED),
    ],
)


class Ground(StrEnum):
    DISSATISFIED = "dissatisfied"
    COMPANY_DEFECT = "company-defect"


@dataclass(eq=False, kw_only=True)
class RefundRequest:
    """`incident_id` names what the company answers for, with that ground. `decline_reason` is billing's code."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    period_index: int
    agreement_version: str
    ground: Ground
    incident_id: UUID | None
    channel: str
    requested_by: str
    requested_at: datetime
    status: RefundStatus = REQUESTED
    taken_back_at: datetime | None = None
    answered_at: datetime | None = None
    decline_reason: str | None = None
    credit_note_number: str | None = None
    version: int = 1

    @property
    def is_answered(self) -> bool:
        return not REFUND_REQUEST_LIFECYCLE.allows("release", self.status)

    def take_back(self, now: datetime) -> None:
        """It counts unless billing released the refund by then. Raises IllegalMove."""
        self.status = REFUND_REQUEST_LIFECYCLE.after("take_back", self.status)
        self.taken_back_at = now

    def release(self, credit_note_number: str, at: datetime) -> None:
        """Raises IllegalMove."""
        self.status = REFUND_REQUEST_LIFECYCLE.after("release", self.status)
        self.credit_note_number, self.answered_at = credit_note_number, at

    def decline(self, reason: str, at: datetime) -> None:
        """Raises IllegalMove."""
        verb = "withdraw" if reason == "withdrawn-by-customer" else "decline"
        self.status = REFUND_REQUEST_LIFECYCLE.after(verb, self.status)
        self.decline_reason, self.answered_at = reason, at


@judgements.on("refund.request")
def requesting(facts: Facts, parameters: Facts) -> Verdict:
    """In writing, for a paid period, once, and within the agreement's days if it has any.

    The days are counted from the beginning of the period; for a defect of the company, from the decision that it
    answers, if that came later. Raises PeriodNotPaid, AlreadyRefunded, PaymentIsCredit, NoCompanyDefect,
    RefundWindowClosed.
    """
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", "3.1")
    _insist(facts["period_status"] == PeriodStatus.PAID, PeriodNotPaid, facts)
    _insist(facts["asked_before"] is None, AlreadyRefunded, facts, asked_before=facts["asked_before"])
    _insist(not facts["never_begins"], PaymentIsCredit, facts)
    incident = facts["incident"]
    if facts["ground"] == Ground.COMPANY_DEFECT:
        answered = incident["liability"] == Liability.COMPANY and incident["period_index"] == facts["period_index"]
        _insist(answered, NoCompanyDefect, facts, incident_id=incident["incident_id"])
    closes_at = window_closes_at(facts, parameters["refund_window_days"])
    if closes_at is not None and _instant(facts["asked_at"]) >= closes_at:
        raise RefundWindowClosed(
            f"A refund of this period could be asked for until {closes_at.isoformat()}.",
            agreement_version=facts["agreement_version"],
            closed_at=closes_at.isoformat(),
        )
    return Verdict("accepted", CLAUSE)


def window_closes_at(facts: Facts, days: int | None) -> datetime | None:
    """None: a refund may be asked for at any time."""
    if days is None:
        return None
    opened_at = _instant(facts["starts_at"])
    if facts["ground"] == Ground.COMPANY_DEFECT:
        opened_at = max(opened_at, _instant(facts["incident"]["decided_at"]))
    return days_after(opened_at, days, facts["zone"])


def _insist(holds: bool, refusal: type[Refusal], facts: Facts, **shown: Any) -> None:
    if not holds:
        raise refusal(agreement_version=facts["agreement_version"], period_index=facts["period_index"], **shown)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
