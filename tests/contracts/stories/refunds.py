"""Refunds and the warranty over HTTP; billing is played by the test."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import httpx
import pytest

from services.contracts.db import agreements
from services.contracts.domain.agreement import Agreements
from shared.events.billing import RefundDeclined, RefundReleased
from shared.kernel.ids import new_id
from tests.contracts.stories.incidents import IncidentStory
from tests.contracts.story import FEE


def with_parameters(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """The published agreement has these parameters, and is the same otherwise."""
    [known] = agreements.read_folder(agreements.FOLDER).versions
    changed = Agreements((replace(known, parameters=replace(known.parameters, **changes)),))
    monkeypatch.setattr(agreements, "published", lambda: changed)


class RefundStory(IncidentStory):
    """`refund` is the request of the story once `asked_back`."""

    refund = ""

    async def ask_back(self, period_index: int = 1, **changes: Any) -> httpx.Response:
        body = {"period_index": period_index, "ground": "dissatisfied", "channel": "portal", **changes}
        return await self.http.post(f"/v1/contracts/{self.contract}/refund-requests", json=body)

    async def asked_back(self, period_index: int = 1, **changes: Any) -> str:
        answer = await self.ask_back(period_index, **changes)
        assert answer.status_code == 201, answer.text
        self.refund = answer.json()["id"]
        return self.refund

    async def take_back(self, **changes: Any) -> httpx.Response:
        body = {"channel": "portal", **changes}
        return await self.http.post(f"/v1/refund-requests/{self.refund}/withdraw", json=body)

    async def refund_shown(self) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/refund-requests/{self.refund}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def finance_releases(
        self, period_index: int = 1, *, at: datetime | None = None, refund: str | None = None
    ) -> RefundReleased:
        fact = RefundReleased(
            **self._ids(period_index, refund),
            credit_note_id=new_id(),
            credit_note_number="MC-2030-000001",
            amount=FEE,
            released_at=at or await self.service.now(),
        )
        await self.service.tell(fact)
        return fact

    async def finance_declines(
        self,
        period_index: int = 1,
        reason: Literal["declined-by-finance", "withdrawn-by-customer", "nothing-to-refund"] = "declined-by-finance",
    ) -> None:
        declined_at = await self.service.now()
        await self.service.tell(RefundDeclined(**self._ids(period_index, None), reason=reason, declined_at=declined_at))

    def _ids(self, period_index: int, refund: str | None) -> dict[str, Any]:
        return {
            "customer_id": self.customer_id,
            "refund_id": UUID(refund or self.refund),
            "invoice_id": new_id(),
            "contract_id": UUID(self.contract),
            "period_index": period_index,
        }

    async def option(self) -> dict[str, Any]:
        """What the window says of a refund now."""
        options = (await self.http.get(f"/v1/contracts/{self.contract}/window")).json()["options"]
        [found] = [option for option in options if option["decision"] == "refund"]
        return dict(found)
