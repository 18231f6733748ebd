"""Domain objects to mention only what matters of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.billing.domain.invoice import Invoice, Number
from services.billing.domain.payment import Payment
from services.billing.domain.profile import Address, BillingProfile, Party
from services.billing.domain.tax import TaxTable, TaxTreatment, treatment_of
from services.billing.domain.tax_id import tax_id_of
from shared.kernel.ids import new_id
from shared.kernel.money import Money

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SELLER = Party(
    legal_name="Mainstay",
    address=Address(lines=("1",), city="Berlin", postal_code="1", country="DE"),
    tax_id=None,
)


def euros(minor: int) -> Money:
    return Money(minor, "EUR")


def a_table(rate: str = "19", rounding: str = "half-up") -> TaxTable:
    entry = {"tax_name": "VAT", "rate_percent": rate, "rounding": rounding}
    return TaxTable.of({"DE": entry, "FR": entry, "GR": entry, "CN": entry, "US": entry})


def a_profile(country: str = "DE", tax_id: str | None = None, certificate: str | None = None) -> BillingProfile:
    return BillingProfile(
        customer_id=UUID(int=1),
        legal_name="Customer",
        address=Address(lines=("1",), city="C", postal_code="1", country=country),
        tax_id=tax_id_of(tax_id, country) if tax_id else None,
        exemption_certificate=certificate,
        updated_at=NOON,
    )


def a_treatment(rate: str = "19", rounding: str = "half-up") -> TaxTreatment:
    return treatment_of(a_profile(), seller_country="DE", table=a_table(rate, rounding))


def an_invoice(*, fee: int = 10_000, mailing: int = 0, issued_with: TaxTreatment | None = None, **more: Any) -> Invoice:
    invoice = Invoice(
        id=new_id(),
        customer_id=UUID(int=1),
        contract_id=UUID(int=2),
        period_index=1,
        agreement_version="2026-01",
        plan_code="standard",
        term_months=12,
        fee=euros(fee),
        mailing=euros(mailing),
        asked_at=NOON,
        created_at=NOON,
    )
    if issued_with is not None:
        issue(invoice, issued_with)
    for name, value in more.items():
        setattr(invoice, name, value)
    return invoice


def issue(invoice: Invoice, tax: TaxTreatment | None = None) -> None:
    invoice.issue(
        number=Number(series="MS", year=2026, sequence=7),
        seller=SELLER,
        buyer=a_profile().party,
        tax=tax or a_treatment(),
        now=NOON,
        on=NOON.date(),
    )


def a_payment(amount: int = 100, **more: Any) -> Payment:
    values: dict[str, Any] = {
        "id": new_id(),
        "invoice_id": UUID(int=3),
        "customer_id": UUID(int=1),
        "contract_id": UUID(int=2),
        "period_index": 1,
        "agreement_version": "2026-01",
        "amount": euros(amount),
        "bank_reference": "r",
        "paid_on": None,
        "channel": "api",
        "evidence": None,
        "recorded_by": "customer",
        "reported_at": NOON,
    }
    return Payment(**(values | more))
