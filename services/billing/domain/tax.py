"""Which tax an invoice bears: the table as data, and the one decision over it (clause 3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from services.billing.domain.country import COUNTRIES, EU
from services.billing.domain.judgements import judgements
from services.billing.domain.profile import BillingProfile
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.money import RoundingMode

CLAUSE = "3.6"
NOTHING = Decimal(0)


class TaxCategory(StrEnum):
    """VAT category codes of EN 16931 (UNCL 5305)."""

    STANDARD = "S"
    REVERSE_CHARGE = "AE"
    EXEMPT = "E"
    EXPORT = "G"
    OUTSIDE_SCOPE = "O"


NOTES = {
    TaxCategory.REVERSE_CHARGE: "Reverse charge: the recipient owes the tax (Article 196, Directive 2006/112/EC).",
    TaxCategory.EXEMPT: "Exempt from tax by the certificate on record.",
    TaxCategory.EXPORT: "Supplied to a customer abroad: not taxed in the seller's country.",
    TaxCategory.OUTSIDE_SCOPE: "Outside the scope of the seller's tax.",
}


@dataclass(frozen=True)
class Jurisdiction:
    country: str
    tax_name: str
    rate_percent: Decimal
    rounding: RoundingMode


@dataclass(frozen=True)
class TaxTable:
    jurisdictions: Mapping[str, Jurisdiction]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> TaxTable:
        """Read `{country: {tax_name, rate_percent, rounding}}`; raises ValueError naming the entry."""
        return cls({country: _jurisdiction(country, entry) for country, entry in data.items()})

    def find(self, country: str) -> Jurisdiction | None:
        return self.jurisdictions.get(country)


@dataclass(frozen=True, kw_only=True)
class TaxTreatment:
    """The decision, frozen on the document together with the facts that prove it."""

    category: TaxCategory
    rate_percent: Decimal
    tax_name: str
    rounding: RoundingMode
    notes: tuple[str, ...]
    proof: Mapping[str, str]


def tax_facts(profile: BillingProfile, *, seller_country: str, table: TaxTable) -> dict[str, Any]:
    """What the tax of this customer depends on, JSON-ready and without its tax id or certificate."""
    country = profile.address.country
    return {
        "country": country,
        "seller_country": seller_country,
        "in_tax_table": table.find(country) is not None,
        "both_in_the_eu": {country, seller_country} <= EU,
        "tax_id_checked": profile.tax_id is not None and profile.tax_id.checked,
        "exemption_on_record": profile.exemption_certificate is not None,
    }


def category_of(facts: Facts) -> TaxCategory:
    """The tax of the customer's jurisdiction, or why there is none.

    Not in the table: outside scope. At home and, without a tax id, across the EU: the customer's rate,
    unless exempt. Across the EU with a checked VAT id: reverse charge. Elsewhere: export.
    """
    if not facts["in_tax_table"]:
        return TaxCategory.OUTSIDE_SCOPE
    if facts["country"] != facts["seller_country"]:
        if not facts["both_in_the_eu"]:
            return TaxCategory.EXPORT
        if facts["tax_id_checked"]:
            return TaxCategory.REVERSE_CHARGE
    return TaxCategory.EXEMPT if facts["exemption_on_record"] else TaxCategory.STANDARD


@judgements.on("invoice.tax")
def taxing(facts: Facts, _parameters: Facts) -> Verdict:
    """Fees exclude tax: it is added as the law of the customer's place requires (3.6)."""
    return Verdict("taxed" if category_of(facts) is TaxCategory.STANDARD else "untaxed", CLAUSE)


def treatment_of(profile: BillingProfile, *, seller_country: str, table: TaxTable) -> TaxTreatment:
    """The tax that an invoice to this customer bears, by its category."""
    country = profile.address.country
    category = category_of(tax_facts(profile, seller_country=seller_country, table=table))
    jurisdiction = table.find(country) or table.jurisdictions[seller_country]
    match category:
        case TaxCategory.STANDARD:
            return TaxTreatment(
                category=category,
                rate_percent=jurisdiction.rate_percent,
                tax_name=jurisdiction.tax_name,
                rounding=jurisdiction.rounding,
                notes=(),
                proof={"country": country},
            )
        case TaxCategory.REVERSE_CHARGE:
            return _untaxed(category, jurisdiction, country=country, tax_id_check="form and check digit")
        case TaxCategory.EXEMPT:
            return _untaxed(category, jurisdiction, country=country, certificate=profile.exemption_certificate or "")
        case _:
            return _untaxed(category, jurisdiction, country=country)


def _untaxed(category: TaxCategory, jurisdiction: Jurisdiction, **proof: str) -> TaxTreatment:
    return TaxTreatment(
        category=category,
        rate_percent=NOTHING,
        tax_name=jurisdiction.tax_name,
        rounding=jurisdiction.rounding,
        notes=(NOTES[category],),
        proof=proof,
    )


def _jurisdiction(country: str, entry: Any) -> Jurisdiction:
    try:
        rate = Decimal(entry["rate_percent"])
        found = Jurisdiction(country, str(entry["tax_name"]), rate, RoundingMode(entry["rounding"]))
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise ValueError(f"tax table, {country}: {error!r}") from error
    if country not in COUNTRIES or not isinstance(entry["rate_percent"], str):
        raise ValueError(f"tax table, {country}: needs a country code and a rate written as a string")
    if not (rate.is_finite() and 0 <= rate < 100 and rate == round(rate, 4)):
        raise ValueError(f"tax table, {country}: the rate is out of range")
    return found
