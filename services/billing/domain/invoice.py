"""Invoices: a draft per contract and period, frozen when issued, then paid or void."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.billing.domain.profile import Party
from services.billing.domain.tax import TaxCategory, TaxTreatment
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.lifecycle import Lifecycle
from shared.kernel.money import CurrencyMismatch, Money, RoundingMode, share, total


class InvoiceStatus(StrEnum):
    DRAFT = "draft"
    ISSUED = "issued"
    PAID = "paid"
    VOID = "void"


_NUMBER = re.compile(r"(?P<series>\S{1,10})-(?P<year>\d{4})-(?P<sequence>\d{6,9})", re.ASCII)

DRAFT, ISSUED, PAID, VOID = InvoiceStatus
INVOICE_LIFECYCLE = Lifecycle(
    "invoice",
    [
        ("issue", {DRAFT}, ISSUED),
        ("settle", {ISSUED}, PAID),
        ("void", {DRAFT, ISSUED}, VOID),
    ],
)


class VoidReason(StrEnum):
    CONTRACT_WITHDRAWN = "contract-withdrawn"
    SERVICE_EXPIRED = "service-expired"
    STOPPED_BY_CUSTOMER = "stopped-by-customer"


class LineKind(StrEnum):
    FEE = "fee"
    MAILING = "mailing"
    TAX = "tax"


class NoSuchInvoice(NotFound):
    """There is no such invoice, or it is not yours."""


class NotANumber(Invalid):
    """This is not the number of an invoice."""


class NothingToBill(Conflict):
    """An invoice with nothing to pay is not made."""

    clause: ClassVar[str | None] = "3.6"


class NotPayable(Conflict):
    """Only an issued invoice can be paid, and only once."""

    clause: ClassVar[str | None] = "3.2"


@dataclass(frozen=True, kw_only=True)
class Line:
    """`base` is what a tax line taxes; category and rate are EN 16931's BT-151 and BT-152."""

    kind: LineKind
    description: str
    amount: Money
    category: TaxCategory | None
    rate_percent: Decimal | None
    base: Money | None = None


@dataclass(frozen=True, kw_only=True)
class Number:
    """Gapless within series and year."""

    series: str
    year: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.series}-{self.year}-{self.sequence:06d}"

    @classmethod
    def read(cls, text: str) -> Number:
        """As it is printed on the invoice; raises NotANumber."""
        found = _NUMBER.fullmatch(text)
        if found is None:
            raise NotANumber(f"{text[:40]} is not an invoice number.")
        return cls(series=found["series"], year=int(found["year"]), sequence=int(found["sequence"]))


@dataclass(frozen=True, kw_only=True)
class Document:
    """What issuing froze; it never changes, not even when the invoice is voided."""

    number: Number
    issued_on: date
    issued_at: datetime
    seller: Party
    buyer: Party
    tax_name: str
    rounding: RoundingMode
    notes: tuple[str, ...]
    proof: dict[str, str]
    lines: tuple[Line, ...]

    @property
    def tax(self) -> Money:
        return total((line.amount for line in self.lines if line.kind is LineKind.TAX), self.lines[0].amount.currency)

    @property
    def total(self) -> Money:
        return total((line.amount for line in self.lines), self.lines[0].amount.currency)


@dataclass(eq=False, kw_only=True)
class Invoice:
    """`mailing` is zero unless a paper bill was asked for; `asked_at` is when the customer asked for the period."""

    id: UUID
    customer_id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    plan_code: str
    term_months: int
    fee: Money
    mailing: Money
    asked_at: datetime
    created_at: datetime
    period_starts_at: datetime | None = None
    period_ends_at: datetime | None = None
    status: InvoiceStatus = InvoiceStatus.DRAFT
    document: Document | None = None
    settled_at: datetime | None = None
    voided_at: datetime | None = None
    void_reason: VoidReason | None = None
    version: int = 1

    def __post_init__(self) -> None:
        if self.fee.minor <= 0 or self.mailing.minor < 0:
            raise NothingToBill(agreement_version=self.agreement_version)
        if self.mailing.currency != self.fee.currency:
            raise CurrencyMismatch("The mailing fee has another currency than the fee.", field="mailing_fee")

    @property
    def net(self) -> Money:
        return self.fee + self.mailing

    @property
    def currency(self) -> str:
        return self.fee.currency

    @property
    def total(self) -> Money:
        """What the document asks for; a draft cannot know its tax yet."""
        return self.issued_document.total

    @property
    def issued_document(self) -> Document:
        if self.document is None:
            raise NotPayable("The invoice has not been issued.", agreement_version=self.agreement_version)
        return self.document

    @property
    def lines(self) -> Sequence[Line]:
        return self.document.lines if self.document else net_lines(self, category=None, rate_percent=None)

    def issue(self, *, number: Number, seller: Party, buyer: Party, tax: TaxTreatment, now: datetime, on: date) -> None:
        """Freeze parties, lines and tax under `number`; raises IllegalMove."""
        self.status = INVOICE_LIFECYCLE.after("issue", self.status)
        self.document = Document(
            number=number,
            issued_on=on,
            issued_at=now,
            seller=seller,
            buyer=buyer,
            tax_name=tax.tax_name,
            rounding=tax.rounding,
            notes=tax.notes,
            proof=dict(tax.proof),
            lines=taxed_lines(self, tax),
        )

    def settle(self, *, now: datetime) -> None:
        """Approved payments reach the total; raises IllegalMove."""
        self.status = INVOICE_LIFECYCLE.after("settle", self.status)
        self.settled_at = now

    def void(self, reason: VoidReason, *, now: datetime) -> None:
        """Ask for nothing any more; an issued invoice keeps its number. Raises IllegalMove."""
        self.status = INVOICE_LIFECYCLE.after("void", self.status)
        self.voided_at, self.void_reason = now, reason

    @property
    def is_open(self) -> bool:
        return INVOICE_LIFECYCLE.allows("void", self.status)

    def check_payable(self) -> None:
        """Raises NotPayable naming the state."""
        if not INVOICE_LIFECYCLE.allows("settle", self.status):
            raise NotPayable(
                f"The invoice is {self.status}.", agreement_version=self.agreement_version, state=str(self.status)
            )


def net_lines(invoice: Invoice, *, category: TaxCategory | None, rate_percent: Decimal | None) -> tuple[Line, ...]:
    """The fee, and the mailing fee where a paper bill was asked for."""
    fee = Line(
        kind=LineKind.FEE,
        description=f"Maintenance {invoice.plan_code}, {invoice.term_months} months, period {invoice.period_index}",
        amount=invoice.fee,
        category=category,
        rate_percent=rate_percent,
    )
    if invoice.mailing.minor == 0:
        return (fee,)
    mailing = Line(
        kind=LineKind.MAILING,
        description="Mailing of the paper bill",
        amount=invoice.mailing,
        category=category,
        rate_percent=rate_percent,
    )
    return fee, mailing


def taxed_lines(invoice: Invoice, tax: TaxTreatment) -> tuple[Line, ...]:
    """Net lines, then one tax line for each, rounded on its own."""
    net = net_lines(invoice, category=tax.category, rate_percent=tax.rate_percent)
    return net + tuple(_tax_line(line, tax) for line in net)


def _tax_line(line: Line, tax: TaxTreatment) -> Line:
    return Line(
        kind=LineKind.TAX,
        description=f"{tax.tax_name} {tax.rate_percent} % on {line.kind}",
        amount=share(line.amount, tax.rate_percent, tax.rounding),
        category=tax.category,
        rate_percent=tax.rate_percent,
        base=line.amount,
    )
