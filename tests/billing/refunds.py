"""Refunds in stories of billing; contracts is played by the test."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from shared.events.contracts import ContractAccepted, RefundRequested, RefundTakenBack, ServiceRefunded
from shared.kernel.ids import new_id
from tests.billing.story import NOON, Story, a_contract


def a_refund_request(contract: ContractAccepted, period_index: int = 1, **changes: Any) -> RefundRequested:
    values: dict[str, Any] = {
        "customer_id": contract.customer_id,
        "contract_id": contract.contract_id,
        "agreement_version": contract.agreement_version,
        "refund_id": new_id(),
        "period_index": period_index,
        "ground": "dissatisfied",
        "requested_at": NOON + timedelta(days=9),
    }
    return RefundRequested(**(values | changes))


def a_taking_back(request: RefundRequested) -> RefundTakenBack:
    return RefundTakenBack(
        customer_id=request.customer_id,
        contract_id=request.contract_id,
        agreement_version=request.agreement_version,
        refund_id=request.refund_id,
        period_index=request.period_index,
        taken_back_at=NOON + timedelta(days=10),
    )


def a_refunded_end(
    contract: ContractAccepted, *, period_index: int = 1, last: int = 1, ended_at: datetime = NOON + timedelta(days=11)
) -> ServiceRefunded:
    return ServiceRefunded(
        customer_id=contract.customer_id,
        contract_id=contract.contract_id,
        agreement_version=contract.agreement_version,
        refund_id=new_id(),
        period_index=period_index,
        refunded_period_index=period_index,
        last_period_index=last,
        ended_at=ended_at,
        server_ids=[],
        retention_days=30,
    )


class RefundStory(Story):
    """Finance-one prepares, finance-two releases."""

    contract: ContractAccepted
    invoice: dict[str, Any]
    request: RefundRequested

    async def paid(self, contract: ContractAccepted | None = None, **options: Any) -> None:
        """The first period is paid and audited."""
        self.contract = contract or a_contract()
        self.invoice = await self.issued(self.contract)
        await self.approve(await self.reported(self.invoice, **options))

    async def paid_renewal(self, renewal: Any) -> dict[str, Any]:
        await self.service.tell(renewal)
        invoice = await self.invoice_of(self.contract, renewal.period_index)
        await self.approve(await self.reported(invoice))
        return invoice

    async def asked(self, **changes: Any) -> str:
        """Contracts has told that the customer wants its money back; the refund's id."""
        self.request = a_refund_request(self.contract, **changes)
        await self.service.tell(self.request)
        return str(self.request.refund_id)

    async def prepared(self, **changes: Any) -> str:
        refund_id = await self.asked(**changes)
        answer = await self.prepare(refund_id)
        assert answer.status_code == 200, answer.text
        return refund_id

    async def prepare(self, refund_id: str, by: httpx.AsyncClient | None = None) -> httpx.Response:
        return await (by or self.finance).post(f"/v1/refunds/{refund_id}/prepare", json={})

    async def release(self, refund_id: str, by: httpx.AsyncClient | None = None) -> httpx.Response:
        return await (by or self.other_finance).post(f"/v1/refunds/{refund_id}/release", json={})

    async def decline(self, refund_id: str, by: httpx.AsyncClient | None = None) -> httpx.Response:
        body = {"reason": "It was served as agreed."}
        return await (by or self.finance).post(f"/v1/refunds/{refund_id}/decline", json=body)

    async def refund(self, refund_id: str) -> dict[str, Any]:
        answer = await self.finance.get(f"/v1/refunds/{refund_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def notes(self) -> list[dict[str, Any]]:
        own = self.customer(UUID(self.invoice["customer_id"]))
        items: list[dict[str, Any]] = (await own.get("/v1/credit-notes")).json()["items"]
        return items
