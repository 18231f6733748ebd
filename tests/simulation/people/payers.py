"""How a customer pays: in time, late, never, twice, in parts, over, to the last second, and with the wrong paper."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.billing.domain.evidence import EvidenceOfWrongType, NoEvidence, Upload
from services.billing.domain.invoice import NoSuchInvoice, NotPayable
from services.billing.domain.payment import DuplicateBankReference, PaidInTheFuture, WrongCurrency
from services.billing.use_cases import payments
from services.billing.use_cases.payments import Report
from shared.kernel.channels import OralRequest
from shared.kernel.money import Money
from tests.simulation.agenda import Dice
from tests.simulation.company import HOUR, MINUTE, SECOND, Company
from tests.simulation.told import Told

DAY = timedelta(days=1)
PDF = b"%PDF-1.7 a transfer"
STYLES = {
    "prompt": 40.0, "in parts": 12.0, "twice": 6.0, "over": 6.0, "late": 6.0, "last second": 12.0,
    "around the end": 8.0, "same reference": 4.0, "never": 6.0,
}  # fmt: skip
EndOf = Callable[[UUID, int], datetime | None]


class Payer:
    """`end_of` tells when the period before the invoice's ends."""

    def __init__(self, company: Company, dice: Dice, customer_id: UUID, end_of: EndOf) -> None:
        self.company = company
        self.agenda = company.agenda
        self.dice = dice
        self.customer_id = customer_id
        self.end_of = end_of
        self._transfers = 0

    def hear_of_invoice(self, told: Told) -> None:
        invoice_id, total = told.id_of("invoice_id"), _money(told.data["total"])
        ends_at = self.end_of(told.id_of("contract_id"), int(told.data["period_index"]) - 1)
        self._plan(invoice_id, total, ends_at)
        if self.dice.falls(0.06):
            self._after(MINUTE, DAY, lambda: self.try_in_vain(invoice_id, total))

    def hear_of_audit(self, told: Told) -> None:
        """What was rejected is reported again, mostly."""
        if told.data["verdict"] == "rejected" and self.dice.falls(0.7):
            invoice_id, amount = told.id_of("invoice_id"), _money(told.data["amount"])
            self._after(HOUR, 4 * DAY, self._transfer(invoice_id, amount))

    def _plan(self, invoice_id: UUID, total: Money, ends_at: datetime | None) -> None:
        style = self.dice.one_of(STYLES)
        whole = self._transfer(invoice_id, total)
        match style:
            case "prompt":
                self._after(MINUTE, 20 * HOUR, whole)
            case "in parts":
                self._in_parts(invoice_id, total, ends_at)
            case "twice":
                self._after(MINUTE, DAY, whole)
                self._after(MINUTE, 2 * DAY, self._transfer(invoice_id, total))
            case "over":
                more = Money(total.minor + self.dice.random.randint(1, 5000), total.currency)
                self._after(MINUTE, DAY, self._transfer(invoice_id, more))
            case "late":
                self._at((ends_at or self._now) + self.dice.between(SECOND, 20 * DAY), whole)
            case "last second":
                early = self.dice.random.choice([timedelta(microseconds=1), SECOND, MINUTE, HOUR])
                self._at((ends_at or self._now + 2 * DAY) - early, whole)
            case "around the end":
                self._at((ends_at or self._now + DAY) + self.dice.between(-2 * HOUR, 2 * HOUR), whole)
            case "same reference":
                self._after(MINUTE, DAY, whole)
                self._after(MINUTE, DAY, whole)

    def _in_parts(self, invoice_id: UUID, total: Money, ends_at: datetime | None) -> None:
        parts = self.dice.random.randint(2, 3)
        for number in range(parts):
            minor = total.minor // parts + (total.minor % parts if number == 0 else 0)
            step = self._transfer(invoice_id, Money(minor, total.currency))
            if ends_at is None or self.dice.falls(0.5):
                self._after(MINUTE, 2 * DAY, step)
            else:
                self._at(ends_at + self.dice.between(-DAY, 2 * HOUR), step)

    @property
    def _now(self) -> datetime:
        return self.company.clock.now()

    def _at(self, instant: datetime, step: Callable[[], Awaitable[None]]) -> None:
        self.agenda.at(instant, step)

    def _after(self, shortest: timedelta, longest: timedelta, step: Callable[[], Awaitable[None]]) -> None:
        self.agenda.after(self.dice.between(shortest, longest), step)

    def _transfer(self, invoice_id: UUID, amount: Money) -> Callable[[], Awaitable[None]]:
        self._transfers += 1
        reference = f"{self.customer_id.hex[-12:]}-{self._transfers}"
        return lambda: self.report(invoice_id, amount, reference)

    async def report(self, invoice_id: UUID, amount: Money, reference: str) -> None:
        report = self._report(invoice_id, amount, reference, paper=self.dice.falls(0.02))
        # A member of staff who enters a transfer must not audit it.
        by = "finance:ada" if self.dice.falls(0.1) else f"customer:{self.customer_id}"
        await self._say(f"report {amount} as {reference}", report, by=by, may=(NotPayable, DuplicateBankReference))

    async def try_in_vain(self, invoice_id: UUID, total: Money) -> None:
        other = Money(total.minor, "JPY")
        tomorrow = (self._now + 3 * DAY).date()
        closed = NotPayable
        for what, report, refusals in (
            ("report by phone", self._report(invoice_id, total, "x", channel="phone"), (OralRequest,)),
            ("report in yen", self._report(invoice_id, other, "x"), (WrongCurrency, closed)),
            ("report without evidence", self._report(invoice_id, total, None), (NoEvidence, closed)),
            ("report a picture of nothing", self._false_paper(invoice_id, total), (EvidenceOfWrongType, closed)),
            ("report the future", self._report(invoice_id, total, "x", paid_on=tomorrow), (PaidInTheFuture, closed)),
            ("report on nothing", self._report(UUID(int=2), total, "x"), (NoSuchInvoice,)),
        ):
            await self._say(what, report, must=refusals)
        await self._say(
            "report another's", self._report(invoice_id, total, "x"), only=UUID(int=1), must=(NoSuchInvoice,)
        )

    async def _say(
        self, what: str, report: Report, *, by: str | None = None, only: UUID | None = None, **refusals: Any
    ) -> None:
        by = by or f"customer:{self.customer_id}"
        await self.company.command(
            "billing",
            self.customer_id,
            f"{what} on {str(report.invoice_id)[:8]}",
            lambda tx: payments.report_payment(
                tx, report, only_customer=only or self.customer_id, by=by, files=self.company.evidence
            ),
            by=by,
            **refusals,
        )

    def _false_paper(self, invoice_id: UUID, amount: Money) -> Report:
        return self._report(invoice_id, amount, None, upload=Upload("nothing.png", "image/png", b"nothing"))

    def _report(
        self, invoice_id: UUID, amount: Money, reference: str | None, *, paper: bool = False, **changes: Any
    ) -> Report:
        values: dict[str, Any] = {
            "invoice_id": invoice_id,
            "amount": amount,
            "bank_reference": reference,
            "paid_on": None,
            "channel": "portal",
            "upload": Upload("transfer.pdf", "application/pdf", PDF) if paper else None,
        }
        return Report(**{**values, **changes})


def _money(amount: dict[str, Any]) -> Money:
    return Money(amount["minor"], amount["currency"])
