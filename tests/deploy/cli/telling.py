"""What both kinds of restores are tried on: an invoice that billing has told of, its next number, sealed audit rows."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from deploy import environment
from deploy.opening import opened_log
from services.billing.db import numbering
from shared.events.billing import InvoiceIssued
from shared.events.envelope import Amount
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.bus.outbox import SHARDS
from shared.kit.bus.relay import Relay
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime
from tests.deploy.cli.test_commands import changing, on

CHAIN = UUID(int=7)
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def tell_of_an_invoice(number: str, *, invoice_id: UUID | None = None) -> None:
    """As billing's relay; the number itself is not taken."""
    amount = Amount(minor=100, currency="EUR")
    fact = InvoiceIssued(
        customer_id=CHAIN, invoice_id=invoice_id or new_id(), contract_id=new_id(), period_index=1, number=number,
        net=amount, tax=amount, mailing=amount, total=amount, issued_at=NOW,
    )  # fmt: skip

    async def tell(runtime: Runtime) -> None:
        async with runtime.database.transaction() as tx:
            tx.publish(fact)
        async with opened_log(environment.read_common()) as log:
            assert await Relay(runtime.database, log, name="billing").publish_once(range(SHARDS)) == 1

    on("billing", tell)


def next_number() -> str:
    async def take(tx: Transaction) -> str:
        return str(await numbering.next_in(tx, "MS", 2026))

    number: str = changing("billing", take)
    return number


def seal_rows(service: str, count: int) -> None:
    async def work(runtime: Runtime) -> None:
        async with runtime.database.transaction() as tx:
            for number in range(count):
                audit_trail.record(tx, CHAIN, "do", new_id(), number=number, note="Grüße, 世界 \N{SNOWMAN}")
        await audit_trail.Sealer(runtime.database, runtime.name, runtime.data_dir).seal()

    on(service, work)
