"""A rule judges from facts and parameters alone, and it is known which parameters it looked at."""

import pytest

from shared.kernel.judgement import Facts, Judgements, NoSuchJudgement, Verdict

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
