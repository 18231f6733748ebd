"""What this installation says of itself on every document: the seller, its series of numbers, its tax table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from services.billing.domain.profile import Party
from services.billing.domain.tax import TaxTable
from shared.kernel.channels import check_written
from shared.kernel.period import zone_named


@dataclass(frozen=True, kw_only=True)
class House:
    seller: Party
    series: str
    credit_note_series: str
    zone: str
    tax_table: TaxTable
    written_channels: frozenset[str]

    def __post_init__(self) -> None:
        zone_named(self.zone)
        if self.credit_note_series == self.series:
            raise ValueError("credit notes have a series of numbers of their own")
        if self.tax_table.find(self.seller.address.country) is None:
            raise ValueError(f"the tax table has no entry for the seller's country {self.seller.address.country}")

    def day_of(self, now: datetime) -> date:
        """The calendar day in the seller's zone: the date of a document, and its year for numbering."""
        return now.astimezone(zone_named(self.zone)).date()

    def check_channel(self, channel: str) -> None:
        """Raises OralRequest."""
        check_written(channel, sorted(self.written_channels))
