"""Who answers for an incident: a pure rule from the facts on record (2.1, 2.4, 3.4, 5.1, 6.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar

from services.contracts.domain.judgements import judgements
from shared.kernel.errors import Conflict
from shared.kernel.judgement import Facts, Verdict


class CauseUndetermined(Conflict):
    """An incident whose cause is undetermined cannot be decided."""


class FactsMissing(Conflict):
    """What this cause rests on is not on record."""


class RecoveryNotTried(Conflict):
    """What was lost during maintenance is unrecoverable only once its recovery has been tried."""

    clause: ClassVar[str | None] = "2.1"


class Cause(StrEnum):
    COMPANY_DEFECT = "company-defect"
    CRASH_DURING_MAINTENANCE = "crash-during-maintenance"
    DISK_DAMAGE_DURING_MAINTENANCE = "disk-damage-during-maintenance"
    CONDITIONS_UNMET = "conditions-unmet"
    THIRD_PARTY = "third-party"
    CUSTOMER_MISOPERATION = "customer-misoperation"
    CUSTOMER_DISCLOSURE = "customer-disclosure"
    EXPIRED_UNPAID = "expired-unpaid"


DURING_MAINTENANCE = frozenset({Cause.CRASH_DURING_MAINTENANCE, Cause.DISK_DAMAGE_DURING_MAINTENANCE})


class Liability(StrEnum):
    """`exempt`: nobody owes the customer anything; `no-loss`: nothing was lost, or all of it came back."""

    COMPANY = "company"
    CUSTOMER = "customer"
    EXEMPT = "exempt"
    NO_LOSS = "no-loss"


UNPAID_ENDS = frozenset({"not-renewed", "payment-not-approved"})


@judgements.on("incident.decide")
def deciding(facts: Facts, parameters: Facts) -> Verdict:
    """`facts` as `use_cases.incidents.facts` gathers them; raises CauseUndetermined, FactsMissing, RecoveryNotTried."""
    return judged(facts, parameters)


@judgements.on("incident.decide-appeal")
def deciding_appeal(facts: Facts, parameters: Facts) -> Verdict:
    """The same judgement by somebody else, beside the first one (`first`); raises as `deciding` does."""
    second = judged(facts, parameters)
    first = facts["first"]
    same = (second.word, second.clause) == (first["liability"], first["clause"])
    return Verdict("upheld" if same else "changed", second.clause)


def judged(facts: Facts, parameters: Facts) -> Verdict:
    """Liability and the clause it rests on."""
    if facts["cause"] is None:
        raise CauseUndetermined()
    return _RULES[Cause(facts["cause"])](facts, parameters)


def _company_defect(facts: Facts, _parameters: Facts) -> Verdict:
    _insist(facts, clause="6.2", findings=bool(facts["findings"]))
    return Verdict(Liability.COMPANY, "6.2")


def _during_maintenance(facts: Facts, parameters: Facts) -> Verdict:
    _insist(facts, clause="2.1", work_in_progress=_is_in_progress(facts["work"]))
    recovery = facts["recovery"]
    if not facts["data_lost"] or recovery["recovered"]:
        return Verdict(Liability.NO_LOSS, "2.1")
    minimum = parameters["minimum_recovery_attempts"]
    if recovery["attempts"] < minimum:
        raise RecoveryNotTried(
            f"{recovery['attempts']} recovery attempts are on record, {minimum} are needed.",
            agreement_version=facts["agreement_version"],
            attempts=recovery["attempts"],
            minimum_recovery_attempts=minimum,
        )
    return Verdict(Liability.EXEMPT, "2.1")


def _conditions_unmet(facts: Facts, _parameters: Facts) -> Verdict:
    _insist(facts, clause="2.4", conditions_declared_before=facts["conditions"] is not None)
    return Verdict(Liability.EXEMPT, "2.4")


def _not_ours(facts: Facts, _parameters: Facts) -> Verdict:
    _insist(facts, clause="5.1", findings=bool(facts["findings"]))
    return Verdict(Liability.CUSTOMER, "5.1")


def _disclosed(facts: Facts, _parameters: Facts) -> Verdict:
    _insist(facts, clause="5.1", disclosure_reported=facts["disclosure"] is not None)
    return Verdict(Liability.CUSTOMER, "5.1")


def _expired_unpaid(facts: Facts, _parameters: Facts) -> Verdict:
    service = facts["service"]
    ended = not service["served"] and service["end_reason"] in UNPAID_ENDS
    _insist(facts, clause="3.4", ended_unpaid_before=ended)
    return Verdict(Liability.EXEMPT, "3.4")


_RULES: Mapping[Cause, Callable[[Facts, Facts], Verdict]] = {
    Cause.COMPANY_DEFECT: _company_defect,
    Cause.CRASH_DURING_MAINTENANCE: _during_maintenance,
    Cause.DISK_DAMAGE_DURING_MAINTENANCE: _during_maintenance,
    Cause.CONDITIONS_UNMET: _conditions_unmet,
    Cause.THIRD_PARTY: _not_ours,
    Cause.CUSTOMER_MISOPERATION: _not_ours,
    Cause.CUSTOMER_DISCLOSURE: _disclosed,
    Cause.EXPIRED_UNPAID: _expired_unpaid,
}


def _is_in_progress(work: Mapping[str, Any] | None) -> bool:
    return work is not None and bool(work["in_progress"])


def _insist(facts: Facts, *, clause: str, **on_record: bool) -> None:
    missing = [name.replace("_", "-") for name, is_there in on_record.items() if not is_there]
    if missing:
        raise FactsMissing(
            f"Not on record: {', '.join(missing)}.",
            clause=clause,
            agreement_version=facts["agreement_version"],
            cause=str(facts["cause"]),
            missing=missing,
        )
