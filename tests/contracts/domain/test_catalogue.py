"""The catalogue bounds what can be bought and asked for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from services.contracts.db import catalogue
from services.contracts.domain.agreement import Risk
from services.contracts.domain.catalogue import Catalogue, NoSuchPlan, OutsideCatalogue, Plan
from services.contracts.domain.risk import risk_of
from services.contracts.domain.service_hours import service_hours_in
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


NOW = datetime(2030, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)
OLD = PUBLISHED.plan("care-monthly-eur", agreement_version="2026-1")


def a_book(*plans: Plan) -> Catalogue:
    return Catalogue(plans, PUBLISHED.operations)


def test_the_newest_version_of_a_plan_is_offered_and_an_older_one_still_found() -> None:
    book = a_book(replace(OLD, version=2, fee=Money(1, "EUR")), OLD)
    assert [plan.version for plan in book.offered(NOW)] == [2]
    assert book.to_buy(OLD.code, now=NOW, agreement_version="2026-1").version == 2
    assert book.plan(OLD.code, version=1, agreement_version="2026-1") == OLD
    assert [plan.version for plan in book.versions_of(OLD.code)] == [1, 2]
    with pytest.raises(NoSuchPlan):
        book.versions_of("made-to-measure")


@pytest.mark.parametrize(
    ("since", "until", "offered"),
    [
        (None, None, 2),
        (NOW, None, 2),
        (NOW + MOMENT, None, 1),
        (None, NOW + MOMENT, 2),
        (None, NOW, None),
        (NOW - DAY, NOW, None),
    ],
)
def test_a_version_is_offered_from_its_beginning_to_before_its_end(
    since: datetime | None, until: datetime | None, offered: int | None
) -> None:
    """A later version replaces the one before once it has begun; withdrawn, it does not bring that back."""
    book = a_book(OLD, replace(OLD, version=2, offered_from=since, offered_until=until))
    assert [plan.version for plan in book.offered(NOW)] == ([] if offered is None else [offered])


def test_a_plan_that_is_not_offered_is_refused_naming_what_is_in_its_currency() -> None:
    other = replace(OLD, code="other-eur")
    dollars = replace(OLD, code="other-usd", fee=Money(1, "USD"))
    book = a_book(replace(OLD, offered_until=NOW), other, dollars)
    asked = (partial(book.to_buy, OLD.code), partial(book.drafted, OLD.code, 1))
    for ask in asked:
        with pytest.raises(OutsideCatalogue) as no:
            ask(now=NOW, agreement_version="2026-1")
        assert no.value.facts == {"plan_code": OLD.code, "offered": ["other-eur"]}
        assert (no.value.field, no.value.cited_clause, no.value.agreement_version) == ("plan_code", "3.1", "2026-1")


def test_a_draft_is_bought_in_its_own_version_though_another_is_offered_by_now() -> None:
    book = a_book(OLD, replace(OLD, version=2))
    assert book.drafted(OLD.code, 1, now=NOW, agreement_version="2026-1") == OLD


@pytest.mark.parametrize(("own", "agreed", "every"), [(None, 24, 24), (6, 24, 6), (48, 24, 24)])
def test_backups_are_made_in_the_plans_rhythm_and_never_less_often_than_agreed(
    own: int | None, agreed: int, every: int
) -> None:
    assert replace(OLD, local_backup_every_hours=own).backup_every_hours(agreed) == every


def test_the_definition_is_what_is_bought_and_not_how_long_it_is_offered() -> None:
    same = replace(OLD, offered_until=NOW, names={**OLD.names})
    assert same.definition_sha256 == OLD.definition_sha256
    for change in (
        {"fee": Money(1, "EUR")},
        {"term_months": 2},
        {"operations": frozenset({"log-review"})},
        {"service_hours": service_hours_in("mon-fri 08:00-18:00")},
        {"local_backup_every_hours": 6},
    ):
        assert replace(OLD, **change).definition_sha256 != OLD.definition_sha256, change


def test_an_unknown_plan_is_refused_by_clause_3_1() -> None:
    with pytest.raises(OutsideCatalogue) as refused:
        PUBLISHED.plan("anything-you-like", agreement_version="2026-1")
    assert refused.value.cited_clause == "3.1"


@pytest.mark.parametrize("code", ["make-coffee", "disk-repartition"])
def test_an_operation_the_plan_does_not_include_is_refused(code: str) -> None:
    plan = PUBLISHED.plan("essential-monthly-eur", agreement_version="2026-1")
    with pytest.raises(OutsideCatalogue):
        PUBLISHED.operation(code, plan=plan, agreement_version="2026-1")


PLAN = """
[[plans]]
code = "tiny-eur"
version = 1
fee_minor = 100
currency = "EUR"
term_months = 1
operations = ["health-check"]
service_hours = "24x7"
en = "Tiny"
zh = "小型版"
"""


def read(tmp_path: Path, text: str) -> Catalogue:
    file = tmp_path / "catalogue.toml"
    file.write_text(text, encoding="utf-8")
    return catalogue.read_file(file)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("fee_minor = 100", "fee_minor = 0"), "plans tiny-eur: fee_minor is 0"),
        (("fee_minor = 100", "fee_minor = -5"), "fee_minor is -5"),
        (("fee_minor = 100", "fee_minor = 1.5"), "fee_minor is 1.5"),
        (("fee_minor = 100", "fee_minor = 99999999999999999999"), "fee_minor"),
        (("term_months = 1", "term_months = 121"), "term_months is 121"),
        (("term_months = 1", "term_months = -1"), "term_months is -1"),
        (("version = 1", "version = true"), "version is True"),
        (('currency = "EUR"', 'currency = "XYZ"'), "plans tiny-eur"),
        (('"24x7"', '"always"'), "no service hours"),
        (('"24x7"', '"mon-fri 18:00-08:00"'), "close before they open"),
        (('"24x7"', '"fri-mon 08:00-18:00"'), "no service hours"),
        (('en = "Tiny"', 'en = ""'), "a name is a line"),
        (('zh = "小型版"', ""), "lacks zh"),
        (('code = "tiny-eur"', 'code = "Tiny EUR"'), "a code is"),
        (('en = "Tiny"', 'en = "Tiny"\nfree_coffee = true'), "nobody knows free_coffee"),
        (('en = "Tiny"', 'en = "Tiny"\nlocal_backup_every_hours = 0'), "local_backup_every_hours is 0"),
        (('en = "Tiny"', 'en = "Tiny"\noffered_from = 2030-01-01T00:00:00'), "offered_from has to be an instant"),
        (
            ('en = "Tiny"', 'en = "Tiny"\noffered_from = 2030-01-02T00:00:00Z\noffered_until = 2030-01-01T00:00:00Z'),
            "offered_until is not after offered_from",
        ),
        (('"health-check"', '"make-coffee"'), "unknown operations"),
    ],
)
def test_a_catalogue_that_cannot_be_meant_is_not_read(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    own = catalogue.FILE.read_text(encoding="utf-8")
    read(tmp_path, own + PLAN)
    with pytest.raises(catalogue.UnusableCatalogue, match=r"^catalogue\.toml: ") as refused:
        read(tmp_path, own + PLAN.replace(*change))
    assert reason in str(refused.value)


def test_a_catalogue_that_contradicts_itself_is_not_read(tmp_path: Path) -> None:
    own = catalogue.FILE.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="unknown operations"):
        read(tmp_path, own.replace('code = "disk-repartition"', 'code = "disk-partition"'))
    with pytest.raises(ValueError, match="a version of a plan is listed twice"):
        read(tmp_path, own + PLAN + PLAN)
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path, own + "[[plans")
