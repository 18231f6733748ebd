"""What the other services would tell in the life of one contract, and small questions to the service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.events.billing import InvoiceIssued, PaymentAudited, RefundDeclined, RefundReleased
from shared.events.contracts import (
    AppealDecided,
    ConditionsDeclaredUnmet,
    ContractAccepted,
    CustomerRegistered,
    ExtensionRefused,
    ExtensionRequested,
    IncidentDecided,
    ServiceExpired,
    ServiceExpiring,
    ServiceExtended,
    ServiceHeld,
    ServiceRefunded,
    ServiceRegistered,
    ServiceRenewed,
    WorkCompleted,
    WorkFailed,
    WorkRefused,
    WorkRescheduled,
    WorkScheduled,
)
from shared.events.envelope import Amount, Fact
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.tables import timers
from tests.support.service import ServiceUnderTest

SHANGHAI = "Asia/Shanghai"
START = datetime(2031, 5, 1, 4, 0, tzinfo=UTC)
END = datetime(2031, 6, 1, 4, 0, tzinfo=UTC)
ADDRESS = "alice.wang@customer.example"


class Story:
    """Facts about one customer and contract, all of agreement version 2031-01."""

    def __init__(self, *, zone: str = SHANGHAI) -> None:
        self.customer_id, self.contract_id, self.invoice_id = new_id(), new_id(), new_id()
        self.payment_id, self.server_id, self.zone = new_id(), new_id(), zone
        self.extension_id = new_id()
        self._contract: dict[str, Any] = {
            "customer_id": self.customer_id,
            "contract_id": self.contract_id,
            "agreement_version": "2031-01",
        }
        self._incident: dict[str, Any] = {
            "incident_id": new_id(),
            "period_index": 1,
            "server_id": self.server_id,
            "cause": "third-party",
        }
        self._terms = {"local_backup_every_hours": 24, "restore_target_hours": 4, "retention_days": 30}

    def registered_customer(self) -> CustomerRegistered:
        return CustomerRegistered(
            customer_id=self.customer_id, language="zh", zone=self.zone, registered_at=START - timedelta(days=2)
        )

    def accepted(self) -> ContractAccepted:
        return ContractAccepted(
            **self._contract,
            text_sha256="0" * 64,
            language="zh",
            plan_code="standard",
            plan_version=1,
            term_months=1,
            fee=euros(100_00),
            mailing_fee=euros(3_00),
            paper_bill=False,
            server_ids=[self.server_id],
            accepted_at=START - timedelta(days=1),
        )

    def invoiced(self, **changes: Any) -> InvoiceIssued:
        values: dict[str, Any] = {
            "customer_id": self.customer_id,
            "invoice_id": self.invoice_id,
            "contract_id": self.contract_id,
            "period_index": 1,
            "number": "2031-000017",
            "net": euros(1_000_00),
            "tax": euros(190_00),
            "mailing": euros(0),
            "total": euros(1_190_00),
            "issued_at": START - timedelta(days=1),
        }
        return InvoiceIssued(**{**values, **changes})

    def audited(self, **changes: Any) -> PaymentAudited:
        values: dict[str, Any] = {
            "customer_id": self.customer_id,
            "payment_id": self.payment_id,
            "invoice_id": self.invoice_id,
            "contract_id": self.contract_id,
            "period_index": 1,
            "amount": euros(1_190_00),
            "verdict": "approved",
            "invoice_covered": True,
            "outstanding": euros(0),
            "reported_at": START - timedelta(hours=3),
            "audited_at": START,
        }
        return PaymentAudited(**{**values, **changes})

    def registered(self) -> ServiceRegistered:
        return ServiceRegistered(
            **self._contract,
            **self._terms,
            period_index=1,
            starts_at=START,
            ends_at=END,
            zone=self.zone,
            server_ids=[self.server_id],
            payment_id=self.payment_id,
        )

    def expiring(self) -> ServiceExpiring:
        return ServiceExpiring(
            **self._contract, period_index=1, window_opens_at=END - timedelta(days=3), ends_at=END, zone=self.zone
        )

    def renewed(self) -> ServiceRenewed:
        return ServiceRenewed(
            **self._contract,
            **self._terms,
            period_index=2,
            starts_at=END,
            ends_at=END + timedelta(days=30),
            zone=self.zone,
            payment_id=new_id(),
        )

    def held(self) -> ServiceHeld:
        return ServiceHeld(**self._contract, period_index=1, ends_at=END, payment_id=self.payment_id)

    def explained(self) -> ExtensionRequested:
        return ExtensionRequested(**self._extension, requested_at=END - timedelta(days=2))

    def extended(self) -> ServiceExtended:
        return ServiceExtended(
            **self._extension,
            until_on=(END + timedelta(days=9)).date(),
            extended_until=END + timedelta(days=10),
            zone=self.zone,
            was_ended=False,
            retention_days=30,
            extended_at=END - timedelta(days=1),
        )

    def refused(self) -> ExtensionRefused:
        return ExtensionRefused(**self._extension, refused_at=END - timedelta(days=1))

    @property
    def _extension(self) -> dict[str, Any]:
        return {**self._contract, "extension_id": self.extension_id, "period_index": 1, "ends_at": END}

    def expired(self) -> ServiceExpired:
        return ServiceExpired(
            **self._contract,
            period_index=1,
            ended_at=END,
            reason="not-renewed",
            server_ids=[self.server_id],
            retention_days=30,
        )

    def unmet(self) -> ConditionsDeclaredUnmet:
        return ConditionsDeclaredUnmet(
            **self._contract,
            declaration_id=new_id(),
            period_index=1,
            server_id=self.server_id,
            unmet=["free-disk"],
            declared_at=START,
        )

    def incident_decided(self) -> IncidentDecided:
        return IncidentDecided(**self._contract, **self._incident, liability="customer", clause="5.1", decided_at=START)

    def appeal_decided(self) -> AppealDecided:
        return AppealDecided(
            **self._contract, **self._incident, verdict="changed", liability="company", clause="6.2", decided_at=END
        )

    def work_facts(self) -> list[Fact]:
        """One piece of work is scheduled, moved and done, another fails and a third is refused."""
        work: dict[str, Any] = {**self._contract, "work_request_id": new_id(), "operation_code": "kernel-upgrade"}
        window = {"starts_at": START + timedelta(days=1), "ends_at": START + timedelta(days=1, hours=2)}
        return [
            WorkScheduled(**work, **window, place="remote", scheduled_at=START),
            WorkRescheduled(**work, **window, place="on-site", scheduled_at=START),
            WorkCompleted(**work, decided_at=START + timedelta(days=1)),
            WorkFailed(**work, server_id=self.server_id, failed_at=START + timedelta(days=1)),
            WorkRefused(**work, decided_at=START),
        ]

    def all_facts(self) -> list[Fact]:
        """Every fact that asks for a notice or is needed to word one."""
        return [
            self.registered_customer(),
            self.accepted(),
            self.invoiced(),
            self.audited(),
            self.registered(),
            self.expiring(),
            self.renewed(),
            self.held(),
            self.expired(),
            self.unmet(),
            self.incident_decided(),
            self.appeal_decided(),
        ]

    def extension_facts(self) -> list[Fact]:
        """Circumstances were explained, refused, and others granted."""
        return [self.explained(), self.refused(), self.explained(), self.extended()]

    def refund_facts(self) -> list[Fact]:
        """A refund was declined; another was released, and the service ended with it."""
        refund: dict[str, Any] = {
            "customer_id": self.customer_id,
            "invoice_id": self.invoice_id,
            "contract_id": self.contract_id,
            "period_index": 1,
        }
        declined = RefundDeclined(
            **refund, refund_id=new_id(), reason="declined-by-finance", declined_at=START + timedelta(days=3)
        )
        released = RefundReleased(
            **refund,
            refund_id=new_id(),
            credit_note_id=new_id(),
            credit_note_number="MC-2031-000003",
            amount=euros(1_190_00),
            released_at=START + timedelta(days=9),
        )
        ended = ServiceRefunded(
            **self._contract,
            refund_id=released.refund_id,
            period_index=1,
            refunded_period_index=1,
            last_period_index=1,
            ended_at=released.released_at,
            server_ids=[self.server_id],
            retention_days=30,
        )
        return [declined, released, ended]


def euros(cents: int) -> Amount:
    return Amount(minor=cents, currency="EUR")


async def put_contact(
    notify: ServiceUnderTest, customer_id: UUID, *, language: str = "en", email: str = ADDRESS
) -> None:
    """As the customer."""
    answer = await notify.as_role(Role.CUSTOMER, customer_id=customer_id).put(
        f"/v1/customers/{customer_id}/contact", json={"email": email, "language": language}
    )
    assert answer.status_code == 200, answer.text


async def notices_of(notify: ServiceUnderTest, customer_id: UUID, **filters: str) -> list[dict[str, Any]]:
    """As the customer."""
    answer = await notify.as_role(Role.CUSTOMER, customer_id=customer_id).get("/v1/notices", params=filters)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def with_attempts(notify: ServiceUnderTest, notice_id: str) -> dict[str, Any]:
    """As support."""
    answer = await notify.as_role(Role.SUPPORT).get(f"/v1/notices/{notice_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def run_retries(notify: ServiceUnderTest) -> None:
    """Let waiting retries run now instead of after their backoff."""
    async with notify.runtime.database.transaction() as tx:
        await tx.execute(sa.update(timers).values(leased_until=None))
    await notify.run_due()
