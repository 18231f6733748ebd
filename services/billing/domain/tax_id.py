"""Tax ids: checked by form and check digit where their country's rule is known."""

from __future__ import annotations

from dataclasses import dataclass

from stdnum import get_cc_module
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError

from services.billing.domain.country import EU
from shared.kernel.errors import Invalid

LONGEST = 40


class InvalidTaxId(Invalid):
    """This is not a tax id of that country."""


@dataclass(frozen=True)
class TaxId:
    """`checked`: its country's rule is known and holds; EU numbers carry their prefix."""

    value: str
    country: str
    checked: bool


def tax_id_of(text: str, country: str) -> TaxId:
    """The tax id in its canonical form; raises InvalidTaxId (which never repeats the input)."""
    if len(text) > LONGEST:
        raise InvalidTaxId(field="tax_id")
    try:
        if country in EU:
            return TaxId(_european(text, country), country, checked=True)
        rule = get_cc_module(country, "vat")
        if rule is None:
            return TaxId(text, country, checked=False)
        return TaxId(str(rule.validate(text)), country, checked=True)
    except ValidationError as error:
        raise InvalidTaxId(field="tax_id") from error


def _european(text: str, country: str) -> str:
    prefix = "EL" if country == "GR" else country
    compact = "".join(character for character in text.upper() if character.isalnum())
    if not compact.startswith(prefix):
        compact = prefix + compact
    return str(eu_vat.validate(compact))
