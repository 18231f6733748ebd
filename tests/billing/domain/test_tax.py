"""Tax: the table, the decision for every kind of customer, tax ids."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from services.billing.domain.country import COUNTRIES, EU
from services.billing.domain.tax import TaxTable, treatment_of
from services.billing.domain.tax_id import InvalidTaxId, TaxId, tax_id_of
from services.billing.settings import BillingSettings, house_from
from tests.billing.domain.an import a_profile, a_table

FRENCH = "FR40303265045"


@pytest.mark.parametrize(
    ("seller", "country", "tax_id", "certificate", "category"),
    [
        ("DE", "DE", None, None, "S"),
        ("DE", "DE", "DE136695976", None, "S"),
        ("DE", "DE", None, "Z-1", "E"),
        ("DE", "FR", FRENCH, None, "AE"),
        ("DE", "FR", FRENCH, "Z-1", "AE"),
        ("DE", "FR", None, None, "S"),
        ("DE", "FR", None, "Z-1", "E"),
        ("DE", "GR", "EL094259216", None, "AE"),
        ("DE", "CN", None, None, "G"),
        ("DE", "CN", None, "Z-1", "G"),
        ("DE", "US", "12-3456789", None, "G"),
        ("DE", "BR", None, None, "O"),
        ("CN", "CN", None, None, "S"),
        ("CN", "FR", FRENCH, None, "G"),
    ],
)
def test_the_decision_for_every_kind_of_customer(
    seller: str, country: str, tax_id: str | None, certificate: str | None, category: str
) -> None:
    profile = a_profile(country, tax_id, certificate)

    treatment = treatment_of(profile, seller_country=seller, table=a_table())

    assert treatment.category == category
    assert (treatment.rate_percent > 0) == (category == "S")
    assert bool(treatment.notes) == (category != "S")


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("de 136 695 976", "DE", TaxId("DE136695976", "DE", True)),
        ("136695976", "DE", TaxId("DE136695976", "DE", True)),
        ("EL 094259216", "GR", TaxId("EL094259216", "GR", True)),
        ("91110000600037341L", "CN", TaxId("91110000600037341L", "CN", True)),
        ("12-3456789", "US", TaxId("12-3456789", "US", False)),
    ],
)
def test_a_tax_id_is_checked_where_its_country_is_known(text: str, country: str, expected: TaxId) -> None:
    assert tax_id_of(text, country) == expected


@pytest.mark.parametrize(
    ("text", "country"),
    [("DE136695977", "DE"), (FRENCH, "DE"), ("1", "CN"), ("x" * 41, "US"), ("💥", "DE"), ("DE", "DE")],
)
def test_a_wrong_tax_id_is_refused_without_repeating_it(text: str, country: str) -> None:
    with pytest.raises(InvalidTaxId) as refusal:
        tax_id_of(text, country)
    assert text not in str(refusal.value)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"tax_name": "VAT", "rate_percent": 19, "rounding": "half-up"},
        {"tax_name": "VAT", "rate_percent": "NaN", "rounding": "half-up"},
        {"tax_name": "VAT", "rate_percent": "-1", "rounding": "half-up"},
        {"tax_name": "VAT", "rate_percent": "19", "rounding": "down"},
    ],
)
def test_a_wrong_tax_table_is_refused_naming_its_entry(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="DE"):
        TaxTable.of({"DE": entry})


def test_the_shipped_table_covers_the_union_and_every_country_there_is_has_an_answer() -> None:
    settings = BillingSettings()
    table = TaxTable.of(tomllib.loads(settings.tax_table.read_text("utf-8")))

    assert set(table.jurisdictions) >= EU
    for country in COUNTRIES:
        treatment_of(a_profile(country), seller_country="DE", table=table)


def test_a_seller_outside_the_table_cannot_open_shop() -> None:
    with pytest.raises(ValueError, match="BR"):
        house_from(BillingSettings(seller_country="BR"))
