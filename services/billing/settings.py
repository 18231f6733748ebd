"""`MAINSTAY_BILLING_…`: the seller on every invoice, its series of numbers and its tax table."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.billing.domain.country import country_named
from services.billing.domain.house import House
from services.billing.domain.profile import Address, Party
from services.billing.domain.tax import TaxTable
from services.billing.domain.tax_id import tax_id_of
from shared.kit.settings import ServiceSettings, needed


class BillingSettings(ServiceSettings):
    """`MAINSTAY_BILLING_…`"""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_BILLING_", extra="ignore", frozen=True)

    seller_name: str = Field(
        "Mainstay GmbH",
        min_length=1,
        max_length=200,
        description="legal name on invoices",
        json_schema_extra=needed("the legal name that is printed on invoices"),
    )
    seller_street: str = Field(
        "Musterstraße 1",
        min_length=1,
        max_length=200,
        description="street and number on invoices",
        json_schema_extra=needed("the seller's street and number"),
    )
    seller_city: str = Field(
        "Berlin",
        min_length=1,
        max_length=200,
        description="city on invoices",
        json_schema_extra=needed("the seller's city"),
    )
    seller_postal_code: str = Field(
        "10115",
        min_length=1,
        max_length=20,
        description="postal code on invoices",
        json_schema_extra=needed("the seller's postal code"),
    )
    seller_country: str = Field(
        "DE",
        description="ISO 3166-1 alpha-2; must be in the tax table",
        json_schema_extra=needed("the seller's country, such as DE"),
    )
    seller_tax_id: str | None = Field(None, description="printed on invoices; checked like a customer's")
    seller_zone: str = Field("Europe/Berlin", description="IANA zone that decides an invoice's date and year")
    series: str = Field("MS", pattern=r"^[A-Z0-9]{1,10}$", description="prefix of invoice numbers")
    credit_note_series: str = Field(
        "MC", pattern=r"^[A-Z0-9]{1,10}$", description="prefix of credit note numbers; another one than `series`"
    )
    tax_table: Path = Field(Path(__file__).parent / "tax.toml", description="TOML: tax per country")
    written_channels: tuple[str, ...] = Field(("portal", "api", "email"), description="channels that are in writing")


def house_from(settings: BillingSettings) -> House:
    """Raises ValueError or a refusal that names what is wrong with the settings."""
    country = country_named(settings.seller_country, field="seller_country")
    tax_id = tax_id_of(settings.seller_tax_id, country).value if settings.seller_tax_id else None
    address = Address(
        lines=(settings.seller_street,),
        city=settings.seller_city,
        postal_code=settings.seller_postal_code,
        country=country,
    )
    return House(
        seller=Party(legal_name=settings.seller_name, address=address, tax_id=tax_id),
        series=settings.series,
        credit_note_series=settings.credit_note_series,
        zone=settings.seller_zone,
        tax_table=TaxTable.of(tomllib.loads(settings.tax_table.read_text(encoding="utf-8"))),
        written_channels=frozenset(settings.written_channels),
    )
