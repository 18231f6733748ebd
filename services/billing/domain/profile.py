"""Whom an invoice is made out to: legal name, address, tax id and the proof of an exemption."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.billing.domain.tax_id import TaxId
from shared.kernel.errors import Forbidden, NotFound, StaleWrite


class NoSuchProfile(NotFound):
    """There is no billing profile, or it is not yours."""


class ExemptionByFinanceOnly(Forbidden):
    """Only finance records a tax exemption, after seeing its certificate."""

    clause = "3.6"


class ProfileChanged(StaleWrite):
    """Somebody else changed this billing profile in the meantime."""


@dataclass(frozen=True, kw_only=True)
class Address:
    lines: tuple[str, ...]
    city: str
    postal_code: str
    country: str


@dataclass(frozen=True, kw_only=True)
class Party:
    """One side of an invoice, as it is frozen on the document."""

    legal_name: str
    address: Address
    tax_id: str | None


@dataclass(eq=False, kw_only=True)
class BillingProfile:
    """`exemption_certificate` refers to the certificate that finance has seen."""

    customer_id: UUID
    legal_name: str
    address: Address
    tax_id: TaxId | None
    exemption_certificate: str | None
    updated_at: datetime
    version: int = 0

    @property
    def party(self) -> Party:
        return Party(
            legal_name=self.legal_name, address=self.address, tax_id=self.tax_id.value if self.tax_id else None
        )


def check_exemption(before: BillingProfile | None, certificate: str | None, *, by_finance: bool) -> None:
    """A new or other certificate is finance's to record; raises ExemptionByFinanceOnly."""
    known = before.exemption_certificate if before else None
    if certificate is not None and certificate != known and not by_finance:
        raise ExemptionByFinanceOnly(field="exemption.certificate_reference")
