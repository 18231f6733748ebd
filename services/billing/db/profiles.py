"""Rows ↔ billing profiles."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.billing.db.parties import address_from, address_json
from services.billing.db.tables import billing_profiles
from services.billing.domain.profile import BillingProfile, NoSuchProfile, ProfileChanged
from services.billing.domain.tax_id import TaxId
from shared.kit.db import Reader, Transaction


async def find(reader: Reader, customer_id: UUID) -> BillingProfile | None:
    row = await reader.row(sa.select(billing_profiles).where(billing_profiles.c.customer_id == customer_id))
    return None if row is None else _profile(row)


async def get(reader: Reader, customer_id: UUID, *, only_customer: UUID | None) -> BillingProfile:
    """Raises NoSuchProfile."""
    profile = None if only_customer not in {None, customer_id} else await find(reader, customer_id)
    if profile is None:
        raise NoSuchProfile()
    return profile


async def save(tx: Transaction, profile: BillingProfile) -> None:
    """Write the profile as its next version; raises ProfileChanged."""
    values = _values(profile)
    if profile.version == 0:
        stored = await tx.insert_once(billing_profiles, values, on=["customer_id"])
    else:
        columns = billing_profiles.c
        result = await tx.execute(
            sa.update(billing_profiles)
            .where(columns.customer_id == profile.customer_id, columns.version == profile.version)
            .values(values)
        )
        stored = result.rowcount == 1
    if not stored:
        raise ProfileChanged()
    profile.version += 1


def _values(profile: BillingProfile) -> dict[str, Any]:
    return {
        "customer_id": profile.customer_id,
        "legal_name": profile.legal_name,
        "address": address_json(profile.address),
        "country": profile.address.country,
        "tax_id": profile.tax_id.value if profile.tax_id else None,
        "tax_id_checked": profile.tax_id.checked if profile.tax_id else False,
        "exemption_certificate": profile.exemption_certificate,
        "updated_at": profile.updated_at,
        "version": profile.version + 1,
    }


def _profile(row: Any) -> BillingProfile:
    return BillingProfile(
        customer_id=row.customer_id,
        legal_name=row.legal_name,
        address=address_from(row.address),
        tax_id=TaxId(row.tax_id, row.country, row.tax_id_checked) if row.tax_id else None,
        exemption_certificate=row.exemption_certificate,
        updated_at=row.updated_at,
        version=row.version,
    )
