"""The customer's word, judged from facts: accepting a contract, renewing it, stopping it (3.1, 3.3)."""

from __future__ import annotations

from datetime import datetime

from services.contracts.domain.decision_table import Facts as Told
from services.contracts.domain.decision_table import Matter, Moment, rule
from services.contracts.domain.judgements import judgements
from services.contracts.domain.period import Choice
from shared.kernel.judgement import Facts, Verdict


@judgements.on("contract.accept")
def accepting(facts: Facts, parameters: Facts) -> Verdict:
    """In writing, and of exactly the text that was offered (3.1)."""
    in_writing = facts["channel"] in parameters["written_channels"]
    same_text = facts["text_sha256"] == facts["offered_sha256"]
    return Verdict("accepted" if in_writing and same_text else "refused", "3.1")


@judgements.on("contract.renew")
def renewing(facts: Facts, _parameters: Facts) -> Verdict:
    return _deciding(Matter.RENEW, facts)


@judgements.on("contract.stop")
def stopping(facts: Facts, _parameters: Facts) -> Verdict:
    return _deciding(Matter.STOP, facts)


def _deciding(matter: Matter, facts: Facts) -> Verdict:
    """By the decision table, as of the moment of the choice (3.3)."""
    replaced, chosen_at = facts["replaced"], datetime.fromisoformat(facts["chosen_at"])
    ruling = rule(
        matter,
        Told(
            moment=_moment(facts, chosen_at),
            agreement_version="",
            closes_at=datetime.fromisoformat(facts["window"][1]),
            choice=replaced and Choice(replaced),
            chosen_at=chosen_at,
        ),
    )
    return Verdict("accepted" if ruling.allowed else "refused", ruling.clause)


def _moment(facts: Facts, chosen_at: datetime) -> Moment:
    """Whether an extension keeps the window open makes no difference to renewing and stopping."""
    opens_at, closes_at = (datetime.fromisoformat(each) for each in facts["window"])
    if chosen_at >= closes_at:
        return Moment.ENDED
    return Moment.BEFORE_WINDOW if chosen_at < opens_at else Moment.IN_WINDOW
