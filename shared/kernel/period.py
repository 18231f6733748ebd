"""Service periods: half-open, tiled from an anchor day and wall-clock time in the contract's zone."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from shared.kernel.errors import Invalid

LONGEST_TERM_MONTHS = 120
FIRST_YEAR, LAST_YEAR = 1970, 9000


class UnknownZone(Invalid):
    """This is not a zone of the IANA time zone database."""


class TermOutOfRange(Invalid):
    """A term is between one and 120 months."""


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """The zone of that IANA name; raises UnknownZone."""
    if name not in _zones() or name == "localtime":
        raise UnknownZone(field="zone")
    return ZoneInfo(name)


@dataclass(frozen=True)
class Window:
    """When the customer decides: from `opens_at` up to, and not including, `closes_at`; both UTC."""

    opens_at: datetime
    closes_at: datetime
    zone: str

    def is_open(self, now: datetime) -> bool:
        return self.opens_at <= now < self.closes_at


@dataclass(frozen=True)
class Period:
    """One paid term: `starts_at` inclusive to `ends_at` exclusive, both UTC.

    `start_month` counts months since year 0, so that neither a short month nor a clock change
    moves the anchor: the boundary `n` months on is computed from the anchor, not from the last end.
    """

    index: int
    starts_at: datetime
    ends_at: datetime
    months: int
    zone: str
    anchor_day: int
    anchor_time: time
    start_month: int

    @classmethod
    def first(cls, starts_at: datetime, *, months: int, zone: str) -> Period:
        """The period that begins at the instant `starts_at` (aware); raises TermOutOfRange, UnknownZone."""
        _check_term(months)
        local = starts_at.astimezone(zone_named(zone))
        start_month = local.year * 12 + local.month - 1
        anchor_time = local.time().replace(fold=0)
        return cls(
            index=1,
            starts_at=starts_at.astimezone(UTC),
            ends_at=boundary(start_month + months, local.day, anchor_time, zone),
            months=months,
            zone=zone,
            anchor_day=local.day,
            anchor_time=anchor_time,
            start_month=start_month,
        )

    def next(self, *, months: int | None = None) -> Period:
        """The period that begins where this one ends, without gap or overlap."""
        term = self.months if months is None else months
        _check_term(term)
        start_month = self.start_month + self.months
        return Period(
            index=self.index + 1,
            starts_at=self.ends_at,
            ends_at=boundary(start_month + term, self.anchor_day, self.anchor_time, self.zone),
            months=term,
            zone=self.zone,
            anchor_day=self.anchor_day,
            anchor_time=self.anchor_time,
            start_month=start_month,
        )

    def contains(self, instant: datetime) -> bool:
        return self.starts_at <= instant < self.ends_at

    def window(self, days: int) -> Window:
        """The last `days` calendar days in the zone, and never less than `days` × 24 h."""
        zone = zone_named(self.zone)
        local_end = self.ends_at.astimezone(zone)
        wall = (local_end.replace(tzinfo=None) - timedelta(days=days)).replace(fold=0)
        by_calendar = wall.replace(tzinfo=zone).astimezone(UTC)
        by_hours = self.ends_at - timedelta(hours=24 * days)
        return Window(opens_at=min(by_calendar, by_hours), closes_at=self.ends_at, zone=self.zone)


def boundary(month: int, anchor_day: int, anchor_time: time, zone: str) -> datetime:
    """The UTC instant of the anchor in `month` (months since year 0).

    A day the month lacks becomes its last; a time that the clock change skips moves forward by the
    length of the gap; a time that comes twice means the first.
    """
    year, month_of_year = divmod(month, 12)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise TermOutOfRange(f"Year {year} is out of range.")
    day = min(anchor_day, calendar.monthrange(year, month_of_year + 1)[1])
    wall = datetime.combine(datetime(year, month_of_year + 1, day), anchor_time)
    return wall.replace(tzinfo=zone_named(zone), fold=0).astimezone(UTC)


def days_after(instant: datetime, days: int, zone: str) -> datetime:
    """`days` calendar days later in the zone, by its clock, and never less than `days` × 24 h; UTC."""
    local = instant.astimezone(zone_named(zone))
    wall = (local.replace(tzinfo=None) + timedelta(days=days)).replace(fold=0)
    by_calendar = wall.replace(tzinfo=zone_named(zone)).astimezone(UTC)
    return max(by_calendar, instant.astimezone(UTC) + timedelta(hours=24 * days))


def end_of_day(day: date, zone: str) -> datetime:
    """The UTC instant from which on it is later than `day` in the zone: the first of the next day.

    Where the clock change skips midnight, that is the change itself; where midnight comes twice, the first of both.
    """
    midnight = datetime.combine(day + timedelta(days=1), time())
    return midnight.replace(tzinfo=zone_named(zone), fold=0).astimezone(UTC)


def _check_term(months: int) -> None:
    if not 1 <= months <= LONGEST_TERM_MONTHS:
        raise TermOutOfRange(f"{months} months", field="term_months")
