"""What becomes of a service, judged from facts: registered, renewed, held, expired, refunded (3.2, 3.3, 3.4, 6.2)."""

from __future__ import annotations

from datetime import datetime

from services.contracts.domain.happening import EndReason
from services.contracts.domain.judgements import judgements
from services.contracts.domain.payment import Verdict as Audited
from shared.kernel.judgement import Facts, Verdict


@judgements.on("service.register")
def registering(facts: Facts, _parameters: Facts) -> Verdict:
    """Registered from the audit of a payment that covers the invoice, and from that moment (3.2)."""
    from_the_audit = facts["starts_at"] == facts["audited_at"]
    return Verdict("registered" if _is_paid(facts) and from_the_audit else "awaiting-payment", "3.2")


@judgements.on("contract.payment")
def hearing_of_audit(facts: Facts, _parameters: Facts) -> Verdict:
    """Finance found that the money is not there: the contract waits for another payment (3.2)."""
    return Verdict("rejected" if facts["audit"] == Audited.REJECTED else "taken", "3.2")


@judgements.on("service.renew")
def renewing(facts: Facts, _parameters: Facts) -> Verdict:
    """Renewed by what was reported before the end (3.3); later money only while another payment holds the service.

    What comes after the end is too late, and so is what finds a server in another contract (3.4).
    """
    if not _is_paid(facts):
        return Verdict("awaiting-payment", "3.2")
    in_time = _instant(facts["reported_at"]) < _instant(facts["ends_at"])
    if facts["servers_in_another_contract"] or not (in_time or facts["held"]):
        return Verdict("refused", "3.4")
    return Verdict("renewed", "3.3")


@judgements.on("service.hold")
def holding(facts: Facts, _parameters: Facts) -> Verdict:
    """A payment that was reported before the end and that finance has not rejected holds the service (3.3)."""
    in_time = _instant(facts["reported_at"]) < _instant(facts["ends_at"])
    if in_time and facts["audit"] != Audited.REJECTED:
        return Verdict("held", "3.3")
    return Verdict("expired", "3.4")


@judgements.on("service.expire")
def expiring(facts: Facts, _parameters: Facts) -> Verdict:
    """Never before its end: stopped by the customer (3.3), or not paid in time (3.4)."""
    if _instant(facts["ended_at"]) < _instant(facts["ends_at"]):
        return Verdict("served", "3.3")
    stopped = EndReason(facts["reason"]) is EndReason.STOPPED_BY_CUSTOMER
    return Verdict("expired", "3.3" if stopped else "3.4")


@judgements.on("service.refund")
def refunding(facts: Facts, _parameters: Facts) -> Verdict:
    """Served until the payment is on its way back, unless it had ended before (6.2)."""
    too_early = _instant(facts["ended_at"]) < _instant(facts["released_at"])
    return Verdict("served" if too_early and not facts["was_ended"] else "refunded", "6.2")


def _is_paid(facts: Facts) -> bool:
    return facts["audit"] == Audited.APPROVED and bool(facts["invoice_covered"])


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
