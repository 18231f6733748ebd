"""/v1/customers/{customer_id}/billing-profile"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Header, Response
from pydantic import Field

from services.billing.db import profiles
from services.billing.domain.country import UnknownCountry, country_named
from services.billing.domain.profile import (
    Address,
    BillingProfile,
    ExemptionByFinanceOnly,
    NoSuchProfile,
    ProfileChanged,
)
from services.billing.domain.tax_id import InvalidTaxId, tax_id_of
from services.billing.use_cases import profiles as stories
from shared.kernel.channels import OralRequest
from shared.kit.auth import Role
from shared.kit.fields import Body, Line, View
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

CALLERS = {Role.CUSTOMER, Role.FINANCE, Role.SUPPORT}

router = HouseRouter("/v1/customers/{customer_id}/billing-profile", tag="billing profiles")


class AddressBody(Body):
    lines: Annotated[list[Line], Field(min_length=1, max_length=5)]
    city: Line
    postal_code: Annotated[Line, Field(max_length=20)]
    country: Annotated[str, Field(strict=True, pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]


class ExemptionBody(Body):
    certificate_reference: Line


class ProfileBody(Body):
    legal_name: Line
    address: AddressBody
    tax_id: Annotated[Line, Field(max_length=40)] | None = None
    exemption: ExemptionBody | None = None
    channel: Line = "api"


class AddressView(View):
    lines: list[str]
    city: str
    postal_code: str
    country: str


class ExemptionView(View):
    certificate_reference: str


class ProfileView(View):
    """`tax_id_checked`: the rule of its country is known and holds."""

    customer_id: UUID
    legal_name: str
    address: AddressView
    tax_id: str | None
    tax_id_checked: bool
    exemption: ExemptionView | None
    updated_at: datetime
    version: int


@router.get("", callers=CALLERS, refusals=[NoSuchProfile])
async def read_billing_profile(customer_id: UUID, reader: Read, caller: CallerIn, response: Response) -> ProfileView:
    """Whom this customer's invoices are made out to."""
    profile = await profiles.get(reader, customer_id, only_customer=caller.only_customer)
    return _view(profile, response)


@router.put(
    "",
    callers=CALLERS,
    refusals=[NoSuchProfile, UnknownCountry, InvalidTaxId, OralRequest, ExemptionByFinanceOnly, ProfileChanged],
)
async def put_billing_profile(
    customer_id: UUID,
    body: ProfileBody,
    tx: Tx,
    caller: CallerIn,
    response: Response,
    if_match: Annotated[str | None, Header(pattern=r'^"\d{1,9}"$')] = None,
) -> ProfileView:
    """Set the whole profile; invoices that waited for it are issued. With If-Match: only over that version."""
    country = country_named(body.address.country)
    profile = await stories.put_profile(
        tx,
        customer_id,
        only_customer=caller.only_customer,
        legal_name=body.legal_name,
        address=Address(
            lines=tuple(body.address.lines),
            city=body.address.city,
            postal_code=body.address.postal_code,
            country=country,
        ),
        tax_id=tax_id_of(body.tax_id, country) if body.tax_id else None,
        exemption_certificate=body.exemption.certificate_reference if body.exemption else None,
        by_finance=Role.FINANCE in caller.roles,
        channel=body.channel,
        expected_version=int(if_match.strip('"')) if if_match else None,
    )
    return _view(profile, response)


def _view(profile: BillingProfile, response: Response) -> ProfileView:
    response.headers["etag"] = f'"{profile.version}"'
    certificate = profile.exemption_certificate
    return ProfileView(
        customer_id=profile.customer_id,
        legal_name=profile.legal_name,
        address=AddressView.model_validate(profile.address),
        tax_id=profile.tax_id.value if profile.tax_id else None,
        tax_id_checked=profile.tax_id.checked if profile.tax_id else False,
        exemption=ExemptionView(certificate_reference=certificate) if certificate else None,
        updated_at=profile.updated_at,
        version=profile.version,
    )
