"""One customer and what it does, over HTTP; billing is played by the test."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from shared.events.billing import PaymentAudited, PaymentReported
from shared.events.envelope import Amount, Fact
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.support.service import ServiceUnderTest

START = datetime(2030, 1, 31, 12, tzinfo=UTC)
END = datetime(2030, 2, 28, 12, tzinfo=UTC)
OPENS = datetime(2030, 2, 25, 12, tzinfo=UTC)
SECOND_END = datetime(2030, 3, 31, 11, tzinfo=UTC)  # 13:00 by the summer time of Berlin
SECOND_OPENS = datetime(2030, 3, 28, 11, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAN = "care-monthly-eur"
FEE = Amount(minor=24900, currency="EUR")


class Story:
    """`contract` is the contract of the story once `drafted`."""

    def __init__(self, service: ServiceUnderTest) -> None:
        self.service = service
        self.customer_id = new_id()
        self.http = service.as_role(Role.CUSTOMER, customer_id=self.customer_id)
        self.support = service.as_role(Role.SUPPORT)
        self.technician = service.as_role(Role.TECHNICIAN)
        self.server_ids: list[str] = []
        self.contract = ""

    async def registered_customer(self, *, zone: str = "Europe/Berlin", language: str = "en") -> None:
        body = {"name": "Ada Lovelace", "language": language, "zone": zone, "channel": "portal"}
        assert (await self.http.post("/v1/customers", json=body)).status_code == 201

    async def server(self) -> str:
        body = {"name": "web-1", "operating_system": "Debian 12", "channel": "portal"}
        answer = await self.http.post(f"/v1/customers/{self.customer_id}/servers", json=body)
        assert answer.status_code == 201
        self.server_ids.append(answer.json()["id"])
        return self.server_ids[-1]

    def draft_body(self, **changes: Any) -> dict[str, Any]:
        body = {
            "customer_id": str(self.customer_id),
            "plan_code": PLAN,
            "server_ids": self.server_ids,
            "paper_bill": False,
            "channel": "portal",
        }
        return {**body, **changes}

    async def drafted(self, **changes: Any) -> str:
        """Customer, one server, one draft."""
        if not self.server_ids:
            await self.registered_customer()
            await self.server()
        answer = await self.http.post("/v1/contracts", json=self.draft_body(**changes))
        assert answer.status_code == 201, answer.text
        self.contract = answer.json()["id"]
        return self.contract

    async def offered(self, language: str = "en") -> dict[str, Any]:
        offered = (await self.http.get("/v1/agreements/current", params={"language": language})).json()
        return {
            "agreement_version": offered["version"],
            "language": language,
            "text_sha256": offered["sha256"],
            "channel": "portal",
        }

    async def do(self, verb: str, body: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        """POST the contract's verb; the body is what the verb needs unless given."""
        if body is None:
            body = await self.offered() if verb in {"accept", "renew"} else {"channel": "portal"}
        return await self.http.post(f"/v1/contracts/{self.contract}/{verb}", json=body, **options)

    async def accepted(self, **changes: Any) -> str:
        await self.drafted(**changes)
        assert (await self.do("accept")).status_code == 200
        return self.contract

    async def active(self, **changes: Any) -> str:
        """Registered from START; the clock stands at START."""
        await self.accepted(**changes)
        await self.service.advance(to=START)
        await self.pays(1, reported_at=START - HOUR, audited_at=START)
        return self.contract

    async def renewing(self) -> str:
        """In the first window, the renewal asked for."""
        await self.active()
        await self.service.advance(to=OPENS)
        assert (await self.do("renew")).status_code == 200
        return self.contract

    async def pays(self, index: int, *, reported_at: datetime, audited_at: datetime) -> UUID:
        payment_id = await self.reports(index, reported_at=reported_at)
        await self.audits(payment_id, index, reported_at=reported_at, audited_at=audited_at)
        return payment_id

    async def reports(self, index: int, *, reported_at: datetime, payment_id: UUID | None = None) -> UUID:
        payment_id = payment_id or new_id()
        fact = PaymentReported(**self._payment(payment_id, index), reported_at=reported_at)
        await self.service.tell(fact)
        return payment_id

    async def audits(
        self,
        payment_id: UUID,
        index: int,
        *,
        reported_at: datetime,
        audited_at: datetime,
        approved: bool = True,
        covered: bool = True,
    ) -> None:
        fact = PaymentAudited(
            **self._payment(payment_id, index),
            verdict="approved" if approved else "rejected",
            invoice_covered=approved and covered,
            outstanding=Amount(minor=0 if approved and covered else 1, currency="EUR"),
            reported_at=reported_at,
            audited_at=audited_at,
        )
        await self.service.tell(fact)

    def _payment(self, payment_id: UUID, index: int) -> dict[str, Any]:
        return {
            "customer_id": self.customer_id,
            "payment_id": payment_id,
            "invoice_id": new_id(),
            "contract_id": UUID(self.contract),
            "period_index": index,
            "amount": FEE,
        }

    async def shown(self) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/contracts/{self.contract}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def status(self) -> str:
        return str((await self.shown())["status"])

    async def told(self, *kinds: type[Fact]) -> list[Any]:
        """The facts announced so far, of those kinds."""
        return [fact for fact in await self.service.announced() if not kinds or isinstance(fact, kinds)]

    async def names(self) -> list[str]:
        """Names of the facts about contracts, oldest first."""
        return [type(fact).__name__ for fact in await self.told() if fact.aggregate == "contract"]

    async def decisions(self, subject: str | None = None) -> list[tuple[str, str, str, str]]:
        """(kind, verdict, clause, agreement version), oldest first."""
        answer = await self.http.get("/v1/decisions", params={"subject_id": subject or self.contract, "limit": 200})
        return [
            (row["kind"], row["verdict"], row["clause"], row["agreement_version"]) for row in answer.json()["items"]
        ]


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    """(status, code, clause) of a refusal."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, body["code"], body.get("clause")
