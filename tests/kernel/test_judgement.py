"""A rule judges from facts and parameters alone, and it is known which parameters it looked at."""

from typing import Any

import pytest

from shared.kernel.errors import Conflict
from shared.kernel.judgement import Facts, Judged, Judgements, NoSuchJudgement, Outcome, Verdict

PARAMETERS = {"longest_days": 30, "written_channels": ["portal"]}


def rules() -> Judgements:
    judgements = Judgements()

    @judgements.on("extension")
    def extending(facts: Facts, parameters: Facts) -> Verdict:
        return Verdict("extended" if facts["days"] <= parameters["longest_days"] else "refused", "3.5")

    return judgements


@pytest.mark.parametrize(("days", "word"), [(30, "extended"), (31, "refused")])
def test_a_verdict_comes_with_its_clause_and_the_parameters_that_were_looked_at(days: int, word: str) -> None:
    judged = rules().of("extension").judge({"days": days}, PARAMETERS)
    assert judged.verdict == Verdict(word, "3.5")
    assert judged.parameters == {"longest_days": 30}


def test_a_missing_fact_is_no_verdict() -> None:
    with pytest.raises(KeyError, match="days"):
        rules().of("extension").judge({}, PARAMETERS)


def test_a_kind_has_one_rule_and_an_unknown_one_none() -> None:
    judgements = rules()
    with pytest.raises(ValueError, match="two rules"):
        judgements.on("extension")(lambda facts, parameters: Verdict("extended", "3.5"))
    with pytest.raises(NoSuchJudgement):
        judgements.of("renewal")
    assert judgements.kinds == ["extension"]


class NotToday(Conflict):
    """Not on this day."""


KEPT = Judged(Verdict("extended", "3.5"), {"longest_days": 30})


def test_what_was_decided_comes_out_the_same() -> None:
    replayed = rules().replay("extension", {"days": 30}, KEPT, PARAMETERS)
    assert (replayed.outcome, replayed.again, replayed.trouble) == (Outcome.SAME, KEPT.verdict, None)


@pytest.mark.parametrize(
    ("kind", "facts", "kept", "parameters", "trouble"),
    [
        ("extension", {"days": 31}, KEPT, PARAMETERS, None),
        ("extension", {"days": 30}, Judged(Verdict("extended", "3.4"), {}), PARAMETERS, None),
        # The verdict is the same, but the number that it was judged by is not there any more.
        ("extension", {"days": 30}, KEPT, {"longest_days": 60}, "judged by another longest_days"),
        ("extension", {}, KEPT, PARAMETERS, "the facts do not suffice: KeyError('days')"),
        ("extension", {"days": "many"}, KEPT, PARAMETERS, "the facts do not suffice: TypeError"),
        ("renewal", {"days": 30}, KEPT, PARAMETERS, "NoSuchJudgement"),
        ("never", {}, KEPT, PARAMETERS, "NotToday"),
    ],
)
def test_whatever_comes_out_otherwise_is_told(
    kind: str, facts: Facts, kept: Judged, parameters: dict[str, Any], trouble: str | None
) -> None:
    judgements = rules()

    @judgements.on("never")
    def refusing(_facts: Facts, _parameters: Facts) -> Verdict:
        raise NotToday()

    replayed = judgements.replay(kind, facts, kept, parameters)
    assert replayed.outcome is Outcome.DIFFERENT
    assert (replayed.trouble or "").startswith(trouble or "")
    assert (replayed.trouble is None) == (trouble is None)
