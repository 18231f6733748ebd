"""How work requests are decided: pure rules from facts and parameters, so that a decision can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from services.contracts.domain.agreement import Risk
from services.contracts.domain.judgements import judgements
from services.contracts.domain.readiness import insist_on_readiness
from services.contracts.domain.risk import Evidence, Hazard
from services.contracts.domain.software import UndeclaredSoftware
from services.contracts.domain.work_request import WORK_LIFECYCLE, WorkStatus
from shared.kernel.errors import Conflict
from shared.kernel.judgement import Facts, Verdict


class NothingToRefuse(Conflict):
    """Only work whose risk reaches the agreement's threshold may be refused."""

    clause: ClassVar[str | None] = "1.1"


class NotAcknowledged(Conflict):
    """Work of high risk needs the customer's signed acknowledgement."""

    clause: ClassVar[str | None] = "1.1"


class NoFreshBackup(Conflict):
    """Work of high risk needs a fresh verified backup of the server."""

    clause: ClassVar[str | None] = "1.1"


@judgements.on("work-request.request")
def requesting(facts: Facts, parameters: Facts) -> Verdict:
    """In writing, for a registered service, out of its plan and on its servers (3.1), or by a warranty claim (6.1)."""
    if facts["origin"] == "warranty":
        return Verdict("accepted", "6.1")
    in_writing = facts["channel"] in parameters["written_channels"]
    asked_for_what_is_bought = facts["in_plan"] and facts["on_a_server_of_the_contract"]
    return Verdict("accepted" if in_writing and facts["served"] and asked_for_what_is_bought else "refused", "3.1")


@judgements.on("work-request.withdraw")
def withdrawing(facts: Facts, parameters: Facts) -> Verdict:
    """Taken back in writing before it began (3.1); raises IllegalMove."""
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", "3.1")
    return Verdict(_after("withdraw", facts), "3.1")


@judgements.on("work-request.assess")
def assessing(facts: Facts, _parameters: Facts) -> Verdict:
    """The class of likelihood × impact in the light of the evidence (1.1); raises IllegalMove."""
    _after("assess", facts)
    return Verdict(risk_by(facts).word, "1.1")


@judgements.on("work-request.acknowledge")
def acknowledging(facts: Facts, parameters: Facts) -> Verdict:
    """Signed in writing, the very text that was offered (1.1); raises IllegalMove."""
    _after("acknowledge", facts)
    in_writing = facts["channel"] in parameters["written_channels"]
    same_text = facts["text_sha256"] == facts["offered_sha256"]
    return Verdict("acknowledged" if in_writing and same_text else "refused", "1.1")


@judgements.on("work-request.accept")
def accepting(facts: Facts, parameters: Facts) -> Verdict:
    """High risk only signed for and with a fresh backup (1.1), and only on declared software (4.1).

    Raises IllegalMove, NotAcknowledged, NoFreshBackup, UndeclaredSoftware.
    """
    insist_on_safety(facts, parameters)
    insist_on_declared_software(facts)
    return Verdict(_after("accept", facts), "1.1")


@judgements.on("work-request.refuse")
def refusing(facts: Facts, parameters: Facts) -> Verdict:
    """The company may refuse what reaches the threshold (1.1); raises IllegalMove, NothingToRefuse."""
    risk, threshold = risk_by(facts), Risk.of_word(parameters["refuse_at_or_above"])
    if risk < threshold:
        raise NothingToRefuse(
            f"The risk is {risk.word}; refused may be what is {threshold.word} or above.",
            agreement_version=facts["agreement_version"],
            risk=risk.word,
            refuse_at_or_above=threshold.word,
        )
    return Verdict(_after("refuse", facts), "1.1")


@judgements.on("work-request.schedule")
def scheduling(facts: Facts, _parameters: Facts) -> Verdict:
    """The company's choice (1.2); what the customer would prefer is among the facts and binds nobody."""
    return Verdict(_after("schedule", facts) if facts["technician_free"] else "refused", "1.2")


@judgements.on("work-request.reschedule")
def rescheduling(facts: Facts, _parameters: Facts) -> Verdict:
    """The company's choice again (1.2)."""
    return Verdict(_after("reschedule", facts) if facts["technician_free"] else "refused", "1.2")


@judgements.on("work-request.start")
def starting(facts: Facts, parameters: Facts) -> Verdict:
    """By the evidence of the start, not of the assessment, and on a server that is ready (2.4) or declared unready.

    Raises IllegalMove, NotAcknowledged, NoFreshBackup, UndeclaredSoftware, NotReady.
    """
    insist_on_safety(facts, parameters)
    insist_on_declared_software(facts)
    insist_on_readiness(facts)
    return Verdict(_after("start", facts), "1.1")


@judgements.on("work-request.complete")
def completing(facts: Facts, _parameters: Facts) -> Verdict:
    """What was asked for out of the catalogue is done (3.1); raises IllegalMove."""
    return Verdict(_after("complete", facts), "3.1")


@judgements.on("work-request.fail")
def failing(facts: Facts, _parameters: Facts) -> Verdict:
    """What was asked for could not be done (3.1); raises IllegalMove."""
    return Verdict(_after("fail", facts), "3.1")


@judgements.on("work-request.sign-off")
def signing_off(facts: Facts, parameters: Facts) -> Verdict:
    """By the customer, or by itself when the customer has said nothing for so many days (1.2); raises IllegalMove."""
    if facts["by_customer"]:
        in_time = facts["channel"] in parameters["written_channels"]
    else:
        waited = _instant(facts["at"]) - _instant(facts["completed_at"])
        in_time = waited >= timedelta(days=parameters["signed_off_after_days"])
    return Verdict(_after("sign_off", facts) if in_time else "refused", "1.2")


def risk_by(facts: Facts) -> Risk:
    """The risk at the instant `at`, by the hazard and the evidence among the facts."""
    seen = {evidence: at for evidence, at in _evidence_in(facts).items() if at is not None}
    return Hazard.of_shown(facts["hazard"]).risk(seen, _instant(facts["at"]))


def insist_on_safety(facts: Facts, parameters: Facts) -> None:
    """From the threshold up: an acknowledgement and a fresh verified backup. Raises NotAcknowledged, NoFreshBackup."""
    risk = risk_by(facts)
    if risk < Risk.of_word(parameters["refuse_at_or_above"]):
        return
    cited: dict[str, Any] = {"agreement_version": facts["agreement_version"], "risk": risk.word}
    if not facts["acknowledged"]:
        raise NotAcknowledged(**cited)
    hours: int = parameters["fresh_backup_hours"]
    completed_at = _evidence_in(facts)[Evidence.VERIFIED_BACKUP]
    if completed_at is None or _instant(facts["at"]) - completed_at >= timedelta(hours=hours):
        raise NoFreshBackup(
            f"It must be younger than {hours} hours.", fresh_backup_hours=hours, newest=facts["evidence"], **cited
        )


def insist_on_declared_software(facts: Facts) -> None:
    """All software that the work touches is declared on its server (4.1); raises UndeclaredSoftware."""
    if facts["software_undeclared"]:
        raise UndeclaredSoftware(agreement_version=facts["agreement_version"], undeclared=facts["software_undeclared"])


def _evidence_in(facts: Facts) -> Mapping[Evidence, datetime | None]:
    told: Mapping[str, str | None] = facts["evidence"]
    return {evidence: _instant(at) if (at := told.get(evidence.value)) else None for evidence in Evidence}


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _after(verb: str, facts: Facts) -> str:
    return WORK_LIFECYCLE.after(verb, WorkStatus(facts["found"])).value
