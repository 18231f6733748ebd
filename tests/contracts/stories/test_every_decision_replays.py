"""Facts and parameters of each kind of decision, and the verdict that follows from them, now and ever after."""

from __future__ import annotations

from typing import Any

import pytest

from services.contracts.db import agreements
from services.contracts.domain import choice, disclosure, extension, secret, service, software, work_rules
from services.contracts.domain.condition_declaration import Condition
from services.contracts.domain.judgements import judgements
from shared.kernel.judgement import Judgement
from tests.support.judging import Judged

PARAMETERS = agreements.parameters_of("2026-1")

ACCEPTANCE = {
    "language": "en",
    "text_sha256": "a" * 64,
    "offered_sha256": "a" * 64,
    "plan_code": "care-monthly-eur",
    "plan_version": 1,
    "channel": "portal",
}
CHOICE = {
    "period_index": 1,
    "standing": False,
    "replaced": None,
    "window": ["2030-02-25T12:00:00+00:00", "2030-02-28T12:00:00+00:00"],
    "chosen_at": "2030-02-26T00:00:00+00:00",
}
EXTENDED_WINDOW = ["2030-02-25T12:00:00+00:00", "2030-03-10T23:00:00+00:00"]
EXTENDED: dict[str, Any] = {"ends_at": "2030-03-10T23:00:00+00:00"}
PAYMENT = {
    "payment_id": "01a20700-0000-7000-8000-000000000000",
    "reported_at": "2030-02-28T11:59:59.999999+00:00",
    "audit": "approved",
    "invoice_covered": True,
}
REGISTRATION = PAYMENT | {"starts_at": "2030-03-01T12:00:00+00:00", "audited_at": "2030-03-01T12:00:00+00:00"}
BEFORE_THE_WINDOW = "2030-02-25T11:59:59+00:00"
AT_THE_END = "2030-02-28T12:00:00+00:00"
RENEWAL = PAYMENT | {"ends_at": AT_THE_END, "held": False, "servers_in_another_contract": False}
TOO_LATE: dict[str, Any] = {"reported_at": AT_THE_END}
END = {"period_index": 1, "reason": "not-renewed", "ends_at": AT_THE_END, "ended_at": AT_THE_END}
EXPLANATION = {
    "explained_at": "2030-02-28T11:59:59+00:00",
    "ends_at": AT_THE_END,
    "zone": "Europe/Berlin",
    "channel": "portal",
    "until_on": "2030-03-10",
    "extended_until": "2030-03-10T23:00:00+00:00",
    "own_explanation": False,
    "now": AT_THE_END,
}
DISCLOSURE = {"kind": "password", "served": True, "disclosed_by": "customer", "channel": "portal"}
REPLACEMENT = {
    "reported_at": "2030-03-01T00:00:00+00:00",
    "at": "2030-03-01T23:59:59+00:00",
    "replaced": True,
}
TWO_DAYS = {"rotate_after_disclosure_hours": 48}
LATER: dict[str, Any] = {"at": "2030-03-02T00:00:00+00:00"}
REVEAL = {
    "agreement_version": "2026-1",
    "is_its_technician": True,
    "is_on_its_server": True,
    "secret_status": "kept",
    "work_status": "in_progress",
}
RISKY = {
    "likelihood": 3,
    "impact": 4,
    "lowered_by": [{"evidence": "verified-backup", "younger_than_hours": 24, "likelihood": 0, "impact": 2}],
}
HARMLESS = {"likelihood": 1, "impact": 1, "lowered_by": []}
WORK: dict[str, Any] = {
    "agreement_version": "2026-1",
    "operation_code": "kernel-upgrade",
    "found": "requested",
    "channel": "portal",
    "hazard": RISKY,
    "evidence": {"verified-backup": None, "rehearsal": None},
    "acknowledged": False,
    "technician_free": True,
    "at": "2030-03-02T00:00:00+00:00",
    "software_named": 0,
    "software_undeclared": 0,
    "conditions": {condition.value: "ok" for condition in Condition},
    "declared_unmet": [],
}
STALE_CHECK = WORK["conditions"] | {"free-disk": "stale"}
STALE, FRESH = "2030-03-01T00:00:00+00:00", "2030-03-01T00:00:00.000001+00:00"
REQUEST = WORK | {"origin": "customer", "served": True, "in_plan": True, "on_a_server_of_the_contract": True}
ASSESSED = WORK | {"found": "assessed"}
ACKNOWLEDGED = ASSESSED | {"text_sha256": "a" * 64, "offered_sha256": "a" * 64}
SIGNED = ASSESSED | {"acknowledged": True}
SAFE = SIGNED | {"evidence": {"verified-backup": FRESH}, "hazard": RISKY | {"impact": 5, "likelihood": 5}}
SOFTWARE = {"source": "by-hand", "sha256": "a" * 64, "component_count": 3, "channel": "portal"}
DONE = WORK | {"found": "completed", "by_customer": True, "completed_at": "2030-03-01T00:00:00+00:00"}


def judged(
    judgement: Judgement,
    facts: dict[str, Any],
    word: str,
    clause: str | None,
    by: dict[str, Any] | None = None,
    **changes: Any,
) -> Judged:
    """`by`: parameters that this agreement version has others of."""
    return Judged(judgement, word, clause, facts | changes, PARAMETERS | (by or {}))


JUDGED = [
    judged(choice.accepting, ACCEPTANCE, "accepted", "3.1"),
    judged(choice.accepting, ACCEPTANCE, "refused", "3.1", channel="telephone"),
    judged(choice.accepting, ACCEPTANCE, "accepted", "3.1", {"written_channels": ["fax"]}, channel="fax"),
    judged(choice.accepting, ACCEPTANCE, "refused", "3.1", text_sha256="b" * 64),
    judged(choice.renewing, CHOICE, "accepted", "3.3"),
    judged(choice.renewing, CHOICE, "refused", "3.3", chosen_at=AT_THE_END),
    judged(choice.renewing, CHOICE, "refused", "3.3", replaced="stop"),
    judged(choice.stopping, CHOICE, "accepted", "3.3"),
    judged(
        choice.stopping,
        CHOICE,
        "accepted",
        "3.3",
        replaced="renew",
        standing=True,
        chosen_at=BEFORE_THE_WINDOW,
    ),
    judged(choice.stopping, CHOICE, "refused", "3.3", replaced="stop", chosen_at=BEFORE_THE_WINDOW),
    judged(choice.stopping, CHOICE, "accepted", "3.3", chosen_at=AT_THE_END, window=EXTENDED_WINDOW),
    judged(service.registering, REGISTRATION, "registered", "3.2"),
    judged(service.registering, REGISTRATION, "awaiting-payment", "3.2", invoice_covered=False),
    judged(service.registering, REGISTRATION, "awaiting-payment", "3.2", starts_at=AT_THE_END),
    judged(service.hearing_of_audit, PAYMENT, "rejected", "3.2", audit="rejected"),
    judged(service.hearing_of_audit, PAYMENT, "taken", "3.2"),
    judged(service.renewing, RENEWAL, "renewed", "3.3"),
    judged(service.renewing, RENEWAL, "refused", "3.4", **TOO_LATE),
    judged(service.renewing, RENEWAL, "renewed", "3.3", held=True, **TOO_LATE),
    judged(service.renewing, RENEWAL | EXTENDED, "renewed", "3.3", **TOO_LATE),
    judged(service.renewing, RENEWAL, "refused", "3.4", servers_in_another_contract=True),
    judged(service.renewing, RENEWAL, "awaiting-payment", "3.2", audit="rejected"),
    judged(service.holding, RENEWAL, "held", "3.3", audit=None),
    judged(service.holding, RENEWAL, "expired", "3.4", audit=None, **TOO_LATE),
    judged(service.holding, RENEWAL | EXTENDED, "held", "3.3", audit=None, **TOO_LATE),
    judged(service.holding, RENEWAL, "expired", "3.4", audit="rejected"),
    judged(service.expiring, END, "expired", "3.4"),
    judged(service.expiring, END, "expired", "3.4", reason="payment-not-approved"),
    judged(service.expiring, END, "expired", "3.3", reason="stopped-by-customer"),
    judged(service.expiring, END, "served", "3.3", ended_at="2030-02-28T11:59:59+00:00"),
    judged(service.expiring, END | EXTENDED, "served", "3.3"),
    judged(disclosure.reporting, DISCLOSURE, "customer", "5.2"),
    judged(disclosure.reporting, DISCLOSURE, "customer", "5.3", served=False),
    judged(disclosure.reporting, DISCLOSURE, "customer", "5.3", kind="other-information"),
    judged(disclosure.reporting, DISCLOSURE, "undetermined", "5.2", disclosed_by="unknown"),
    judged(disclosure.reporting, DISCLOSURE, "refused", "5.2", channel="telephone"),
    judged(disclosure.settling, REPLACEMENT, "replaced-in-time", "5.2"),
    judged(disclosure.settling, REPLACEMENT | LATER, "replaced-late", "5.2"),
    judged(disclosure.settling, REPLACEMENT | LATER, "overdue", "5.2", replaced=False),
    judged(
        disclosure.settling, REPLACEMENT | LATER, "open", "5.2", {"rotate_after_disclosure_hours": 48}, replaced=False
    ),
    judged(secret.revealing, REVEAL, "revealed", "5.2"),
    judged(secret.revealing, REVEAL, "NotTheTechnician", "5.2", is_its_technician=False),
    judged(secret.revealing, REVEAL, "NoSuchSecret", None, is_on_its_server=False),
    judged(secret.revealing, REVEAL, "WorkNotInProgress", "5.2", work_status="completed"),
    judged(extension.recording, EXPLANATION, "recorded", "3.5"),
    judged(extension.recording, EXPLANATION, "refused", "3.5", explained_at=AT_THE_END),
    judged(extension.recording, EXPLANATION, "refused", "3.1", channel="telephone"),
    judged(extension.approving, EXPLANATION, "approved", "3.5"),
    judged(extension.approving, EXPLANATION, "refused", "3.5", {"longest_extension_days": 9}),
    judged(extension.approving, EXPLANATION, "OwnExplanation", "3.5", own_explanation=True),
    judged(extension.refusing, EXPLANATION, "refused", "3.5"),
    judged(extension.refusing, EXPLANATION, "OwnExplanation", "3.5", own_explanation=True),
    judged(extension.extending, EXPLANATION, "extended", "3.5"),
    judged(extension.extending, EXPLANATION, "expired", "3.5", explained_at=AT_THE_END),
    judged(work_rules.requesting, REQUEST, "accepted", "3.1"),
    judged(work_rules.requesting, {"origin": "warranty"}, "accepted", "6.1"),
    *(
        judged(work_rules.requesting, REQUEST | {fact: False}, "refused", "3.1")
        for fact in ("served", "in_plan", "on_a_server_of_the_contract")
    ),
    judged(work_rules.requesting, REQUEST, "refused", "3.1", channel="telephone"),
    judged(work_rules.withdrawing, WORK, "withdrawn", "3.1"),
    judged(work_rules.withdrawing, WORK, "refused", "3.1", channel="telephone"),
    judged(work_rules.withdrawing, WORK, "IllegalMove", None, found="in_progress"),
    judged(work_rules.assessing, WORK, "high", "1.1"),
    judged(work_rules.assessing, WORK, "medium", "1.1", evidence={"verified-backup": FRESH}),
    judged(work_rules.assessing, WORK, "high", "1.1", evidence={"verified-backup": STALE}),
    judged(work_rules.acknowledging, ACKNOWLEDGED, "acknowledged", "1.1"),
    judged(work_rules.acknowledging, ACKNOWLEDGED, "refused", "1.1", text_sha256="b" * 64),
    judged(work_rules.accepting, ASSESSED, "NotAcknowledged", "1.1"),
    judged(work_rules.accepting, SIGNED, "NoFreshBackup", "1.1"),
    judged(work_rules.accepting, SAFE, "accepted", "1.1"),
    judged(work_rules.accepting, ASSESSED, "accepted", "1.1", hazard=HARMLESS),
    judged(work_rules.refusing, ASSESSED, "refused", "1.1"),
    judged(work_rules.refusing, ASSESSED, "NothingToRefuse", "1.1", hazard=HARMLESS),
    judged(work_rules.refusing, ASSESSED, "refused", "1.1", {"refuse_at_or_above": "low"}, hazard=HARMLESS),
    judged(work_rules.scheduling, WORK, "scheduled", "1.2", found="accepted"),
    judged(work_rules.scheduling, WORK, "refused", "1.2", found="accepted", technician_free=False),
    judged(work_rules.rescheduling, WORK, "scheduled", "1.2", found="scheduled"),
    judged(work_rules.rescheduling, WORK, "refused", "1.2", found="scheduled", technician_free=False),
    judged(work_rules.starting, SAFE, "in_progress", "1.1", found="scheduled"),
    judged(work_rules.starting, SIGNED, "NoFreshBackup", "1.1", found="scheduled"),
    judged(work_rules.starting, SAFE, "NotReady", "2.4", found="scheduled", conditions=STALE_CHECK),
    judged(
        work_rules.starting,
        SAFE,
        "in_progress",
        "1.1",
        found="scheduled",
        conditions=STALE_CHECK,
        declared_unmet=["free-disk"],
    ),
    judged(work_rules.starting, SAFE, "UndeclaredSoftware", "4.1", found="scheduled", software_undeclared=1),
    judged(work_rules.accepting, SAFE, "UndeclaredSoftware", "4.1", software_undeclared=2),
    judged(software.holding, {"software_named": 2, "software_undeclared": 1}, "held", "4.1"),
    judged(software.holding, {"software_named": 2, "software_undeclared": 0}, "goes-on", "4.1"),
    judged(software.declaring, SOFTWARE, "customer-responsible", "4.1"),
    judged(software.declaring, SOFTWARE, "refused", "3.1", channel="telephone"),
    judged(work_rules.completing, WORK, "completed", "3.1", found="in_progress"),
    judged(work_rules.completing, WORK, "IllegalMove", None, found="scheduled"),
    judged(work_rules.failing, WORK, "failed", "3.1", found="in_progress"),
    judged(work_rules.failing, WORK, "IllegalMove", None, found="completed"),
    judged(work_rules.signing_off, DONE, "signed_off", "1.2"),
    judged(work_rules.signing_off, DONE, "refused", "1.2", by_customer=False),
    judged(work_rules.signing_off, DONE, "signed_off", "1.2", by_customer=False, at="2030-03-31T00:00:00+00:00"),
]


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_verdict_follows_from_the_facts(example: Judged) -> None:
    example.insist(judgements)
