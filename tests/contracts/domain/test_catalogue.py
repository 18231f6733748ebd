"""The catalogue bounds what can be bought and asked for."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.contracts.db import catalogue
from services.contracts.domain.agreement import Risk
from services.contracts.domain.catalogue import Catalogue, OutsideCatalogue
from services.contracts.domain.risk import risk_of
from shared.kernel.money import Money

PUBLISHED = catalogue.published()


@pytest.mark.parametrize(
    ("likelihood", "impact", "risk"),
    [
        (1, 1, Risk.LOW),
        (1, 5, Risk.LOW),
        (2, 3, Risk.MEDIUM),
        (2, 5, Risk.MEDIUM),
        (3, 4, Risk.HIGH),
        (5, 5, Risk.HIGH),
    ],
)
def test_the_risk_class_follows_from_likelihood_and_impact(likelihood: int, impact: int, risk: Risk) -> None:
    assert risk_of(likelihood, impact) is risk


def test_more_likelihood_or_impact_never_lowers_the_risk() -> None:
    for likelihood in range(1, 5):
        for impact in range(1, 5):
            assert risk_of(likelihood, impact) <= risk_of(likelihood + 1, impact)
            assert risk_of(likelihood, impact) <= risk_of(likelihood, impact + 1)


def test_the_newest_version_of_a_plan_is_offered_and_an_older_one_still_found() -> None:
    old = PUBLISHED.plan("care-monthly-eur", agreement_version="2026-1")
    book = Catalogue((replace(old, version=2, fee=Money(1, "EUR")), old), PUBLISHED.operations)
    assert [plan.version for plan in book.offered] == [2]
    assert book.plan(old.code, agreement_version="2026-1").version == 2
    assert book.plan(old.code, version=1, agreement_version="2026-1") == old


def test_an_unknown_plan_is_refused_by_clause_3_1() -> None:
    with pytest.raises(OutsideCatalogue) as refused:
        PUBLISHED.plan("anything-you-like", agreement_version="2026-1")
    assert refused.value.cited_clause == "3.1"


@pytest.mark.parametrize("code", ["make-coffee", "disk-repartition"])
def test_an_operation_the_plan_does_not_include_is_refused(code: str) -> None:
    plan = PUBLISHED.plan("essential-monthly-eur", agreement_version="2026-1")
    with pytest.raises(OutsideCatalogue):
        PUBLISHED.operation(code, plan=plan, agreement_version="2026-1")


def test_a_catalogue_that_contradicts_itself_is_not_read(tmp_path: Path) -> None:
    text = catalogue.FILE.read_text()
    file = tmp_path / "catalogue.toml"
    file.write_text(text.replace('code = "disk-repartition"', 'code = "disk-partition"'))
    with pytest.raises(ValueError, match="unknown operations"):
        catalogue.read_file(file)
    plan = text[text.index("[[plans]]") : text.index("[[plans]]", text.index("[[plans]]") + 1)]
    file.write_text(text + "\n" + plan)
    with pytest.raises(ValueError, match="listed twice"):
        catalogue.read_file(file)
