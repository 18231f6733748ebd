"""Telling whom invoices are made out to."""

from __future__ import annotations

from uuid import UUID

from services.billing.db import accounts, invoices, profiles
from services.billing.db.houses import house_of
from services.billing.domain.profile import Address, BillingProfile, NoSuchProfile, ProfileChanged, check_exemption
from services.billing.domain.tax_id import TaxId
from services.billing.use_cases.invoices import issue_invoice
from shared.kit import audit_trail
from shared.kit.db import Transaction


async def put_profile(
    tx: Transaction,
    customer_id: UUID,
    *,
    only_customer: UUID | None,
    legal_name: str,
    address: Address,
    tax_id: TaxId | None,
    exemption_certificate: str | None,
    by_finance: bool,
    channel: str,
    expected_version: int | None = None,
) -> BillingProfile:
    """Keep the profile and issue what waited for it.

    Raises NoSuchProfile, OralRequest, ExemptionByFinanceOnly, ProfileChanged.
    """
    if only_customer not in {None, customer_id}:
        raise NoSuchProfile()
    house_of(tx).check_channel(channel)
    await accounts.lock(tx, customer_id)
    before = await profiles.find(tx, customer_id)
    version = before.version if before else 0
    if expected_version not in {None, version}:
        raise ProfileChanged()
    check_exemption(before, exemption_certificate, by_finance=by_finance)
    profile = BillingProfile(
        customer_id=customer_id,
        legal_name=legal_name,
        address=address,
        tax_id=tax_id,
        exemption_certificate=exemption_certificate,
        updated_at=tx.now,
        version=version,
    )
    await profiles.save(tx, profile)
    audit_trail.record(tx, customer_id, "put-billing-profile", customer_id, version=profile.version)
    for invoice in await invoices.drafts_of(tx, customer_id):
        await issue_invoice(tx, invoice, profile)
    return profile
