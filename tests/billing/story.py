"""What stories of billing are told with: facts of contracts, a profile, a payment, an audit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr

from services.billing import app, consumers, opening, schedule
from services.billing.settings import BillingSettings
from shared.events.contracts import ContractAccepted, ContractWithdrawn, RenewalRequested, ServiceExpired
from shared.events.envelope import Amount, Envelope, Fact
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.runtime import embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.support.service import ServiceUnderTest, service_under_test

PDF = b"%PDF-1.7\nreceipt"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
GERMAN: dict[str, Any] = {
    "legal_name": "Beispiel AG",
    "address": {"lines": ["Hauptstraße 5"], "city": "Hamburg", "postal_code": "20095", "country": "DE"},
}
FRENCH_BUSINESS: dict[str, Any] = {
    "legal_name": "Exemple SARL",
    "address": {"lines": ["1 rue de la Paix"], "city": "Paris", "postal_code": "75002", "country": "FR"},
    "tax_id": "FR40303265045",
}


def a_contract(**changes: Any) -> ContractAccepted:
    values: dict[str, Any] = {
        "customer_id": new_id(),
        "contract_id": new_id(),
        "agreement_version": "2026-01",
        "text_sha256": "0" * 64,
        "language": "en",
        "plan_code": "standard",
        "plan_version": 1,
        "term_months": 12,
        "fee": Amount(minor=10_000, currency="EUR"),
        "mailing_fee": Amount(minor=333, currency="EUR"),
        "paper_bill": False,
        "server_ids": [],
        "accepted_at": NOON,
    }
    return ContractAccepted(**(values | changes))


def a_withdrawal(contract: ContractAccepted) -> ContractWithdrawn:
    return ContractWithdrawn(
        customer_id=contract.customer_id,
        contract_id=contract.contract_id,
        agreement_version=contract.agreement_version,
        withdrawn_at=NOON + timedelta(hours=1),
    )


def a_renewal(contract: ContractAccepted, period_index: int = 2, **changes: Any) -> RenewalRequested:
    values: dict[str, Any] = {
        "customer_id": contract.customer_id,
        "contract_id": contract.contract_id,
        "agreement_version": contract.agreement_version,
        "period_index": period_index,
        "plan_code": contract.plan_code,
        "plan_version": 1,
        "term_months": 12,
        "fee": contract.fee,
        "mailing_fee": contract.mailing_fee,
        "paper_bill": False,
        "starts_at": NOON + timedelta(days=365),
        "ends_at": NOON + timedelta(days=730),
        "requested_at": NOON + timedelta(days=363),
    }
    return RenewalRequested(**(values | changes))


def an_expiry(contract: ContractAccepted, *, reason: str, ended_at: datetime, period_index: int = 1) -> ServiceExpired:
    return ServiceExpired(
        customer_id=contract.customer_id,
        contract_id=contract.contract_id,
        agreement_version=contract.agreement_version,
        period_index=period_index,
        ended_at=ended_at,
        reason=reason,
        server_ids=[],
        retention_days=30,
    )


def a_told(fact: Fact) -> Envelope:
    """The envelope in which `fact` travels."""
    return Envelope(
        id=new_id(),
        source=f"/{fact.producer}",
        type=fact.type_name(),
        subject=str(fact.aggregate_id()),
        time=NOON,
        dataschema="",
        aggseq=1,
        aggepoch=1,
        correlationid="test",
        data=fact.model_dump(mode="json"),
    )


class Story:
    """One customer, support, and two finance users."""

    def __init__(self, service: ServiceUnderTest) -> None:
        self.service = service
        self.finance = service.as_role(Role.FINANCE, subject="finance-one")
        self.other_finance = service.as_role(Role.FINANCE, subject="finance-two")
        self.support = service.as_role(Role.SUPPORT)

    def customer(self, customer_id: UUID) -> httpx.AsyncClient:
        return self.service.as_role(Role.CUSTOMER, customer_id=customer_id, subject=f"customer-{customer_id}")

    async def issued(self, contract: ContractAccepted | None = None, profile: Any = GERMAN) -> dict[str, Any]:
        """An issued invoice of a fresh contract."""
        contract = contract or a_contract()
        answer = await self.support.put(f"/v1/customers/{contract.customer_id}/billing-profile", json=profile)
        assert answer.status_code == 200, answer.text
        await self.service.tell(contract)
        return await self.invoice_of(contract)

    async def invoice_of(self, contract: ContractAccepted, period_index: int = 1) -> dict[str, Any]:
        """The latest invoice of that period."""
        answer = await self.finance.get("/v1/invoices", params={"contract_id": str(contract.contract_id)})
        found = [item for item in answer.json()["items"] if item["period_index"] == period_index]
        result: dict[str, Any] = found[-1]
        return result

    async def report(
        self,
        invoice: dict[str, Any],
        *,
        amount_minor: Any = None,
        by: httpx.AsyncClient | None = None,
        evidence: Any = ("receipt.pdf", PDF, "application/pdf"),
        key: str | None = None,
        **fields: Any,
    ) -> httpx.Response:
        data = {
            "invoice_id": invoice["id"],
            "amount_minor": str(invoice["total"]["minor"] if amount_minor is None else amount_minor),
            "currency": "EUR",
            "channel": "portal",
        }
        data |= {name: str(value) for name, value in fields.items()}
        return await (by or self.customer(UUID(invoice["customer_id"]))).post(
            "/v1/payments",
            data=data,
            files={"evidence": evidence} if evidence else None,
            headers={"idempotency-key": key} if key else {},
        )

    async def reported(self, invoice: dict[str, Any], **options: Any) -> str:
        """The id of a payment that waits for its audit."""
        answer = await self.report(invoice, **options)
        assert answer.status_code == 201, answer.text
        payment_id: str = answer.json()["id"]
        return payment_id

    async def approve(self, payment_id: str, by: httpx.AsyncClient | None = None) -> httpx.Response:
        return await (by or self.finance).post(f"/v1/payments/{payment_id}/approve", json={})

    async def reject(self, payment_id: str, by: httpx.AsyncClient | None = None) -> httpx.Response:
        return await (by or self.finance).post(f"/v1/payments/{payment_id}/reject", json={"reason": "not received"})

    async def announced(self, kind: str) -> list[Any]:
        return [fact for fact in await self.service.announced() if fact.kind == kind]

    async def credit(self, customer_id: Any) -> list[int]:
        answer = await self.finance.get(f"/v1/customers/{customer_id}/credit")
        return [balance["minor"] for balance in answer.json()["balances"]]


@asynccontextmanager
async def billing_under_test(folder: Path, database_url: str) -> AsyncIterator[ServiceUnderTest]:
    """Its files lie in `folder`."""
    common = CommonSettings(data_dir=folder, clock="virtual", log_level="error")
    settings = BillingSettings(database_url=SecretStr(database_url))
    async with service_under_test(
        lambda: opening.open_runtime(common, settings=settings, authenticator=embedded_authenticator(common)),
        app.create_app,
        consumers.handlers,
        schedule.timers,
    ) as opened:
        yield opened
