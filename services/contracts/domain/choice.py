"""The customer's word, judged from facts: accepting a contract, renewing it, stopping it (3.1, 3.3)."""

from __future__ import annotations

from datetime import datetime

from services.contracts.domain.judgements import judgements
from shared.kernel.judgement import Facts, Verdict


@judgements.on("contract.accept")
def accepting(facts: Facts, parameters: Facts) -> Verdict:
    """In writing, and of exactly the text that was offered (3.1)."""
    in_writing = facts["channel"] in parameters["written_channels"]
    same_text = facts["text_sha256"] == facts["offered_sha256"]
    return Verdict("accepted" if in_writing and same_text else "refused", "3.1")


@judgements.on("contract.renew")
def renewing(facts: Facts, _parameters: Facts) -> Verdict:
    return _deciding(facts)


@judgements.on("contract.stop")
def stopping(facts: Facts, _parameters: Facts) -> Verdict:
    return _deciding(facts)


def _deciding(facts: Facts) -> Verdict:
    """Before the end; in the window the first decision wins, before it the last (3.3)."""
    opens_at, closes_at = (datetime.fromisoformat(each) for each in facts["window"])
    chosen_at = datetime.fromisoformat(facts["chosen_at"])
    standing = chosen_at < opens_at
    too_late = chosen_at >= closes_at
    decided_before = facts["replaced"] is not None and not standing
    if too_late or decided_before or standing != facts["standing"]:
        return Verdict("refused", "3.3")
    return Verdict("accepted", "3.3")
