"""Periods and windows in every zone of the time zone database, over 200 cycles each."""

import calendar
import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.kernel.period import Period, zone_named

ZONES = sorted(available_timezones() - {"localtime"})
CYCLES = 200
WINDOW_DAYS = 3
WINDOW = timedelta(days=WINDOW_DAYS)
# Ends of months, a leap day, and hours that clock changes skip or repeat somewhere.
STARTS = [
    datetime(2024, 1, 31, 0, 30, tzinfo=UTC),
    datetime(2024, 2, 29, 1, 30, tzinfo=UTC),
    datetime(2023, 10, 29, 2, 15, tzinfo=UTC),
    datetime(2025, 8, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2011, 11, 30, 10, 0, tzinfo=UTC),
    datetime(1999, 12, 31, 16, 45, tzinfo=UTC),
]
TERMS = [1, 1, 3, 1, 12, 1, 6, 2]


def wall_end(period: Period) -> datetime:
    """The anchor day, or the month's last; what a clock change skips is as much later as the change is long."""
    year, month = divmod(period.start_month + period.months, 12)
    day = min(period.anchor_day, calendar.monthrange(year, month + 1)[1])
    wall = datetime.combine(date(year, month + 1, day), period.anchor_time)
    before, after = (wall.replace(tzinfo=zone_named(period.zone), fold=fold).utcoffset() for fold in (0, 1))
    assert before is not None
    assert after is not None
    return wall + max(after - before, timedelta())


def insist_on_tiling(start: datetime, terms: list[int], zone: str) -> None:
    """Over 200 cycles: no gap, no overlap, the anchor day wherever the month has it, a window of its days and hours."""
    period = Period.first(start, months=terms[0], zone=zone)
    place = zone_named(zone)
    assert period.starts_at == start
    for term in itertools.islice(itertools.cycle(terms), 1, CYCLES):
        local_end = period.ends_at.astimezone(place)
        assert local_end.replace(tzinfo=None) == wall_end(period), (zone, start, period)
        window = period.window(WINDOW_DAYS)
        local_opening = window.opens_at.astimezone(place)
        assert window.closes_at - window.opens_at >= WINDOW, (zone, start, period)
        assert (local_end.date() - local_opening.date()).days >= WINDOW_DAYS, (zone, start, period)
        assert period.starts_at < window.opens_at
        following = period.next(months=term)
        assert (following.starts_at, following.index) == (period.ends_at, period.index + 1)
        assert following.starts_at < following.ends_at, (zone, start, following)
        period = following


@pytest.mark.parametrize("part", range(4))
def test_in_every_zone_periods_tile_and_windows_are_whole(part: int) -> None:
    for number, zone in enumerate(ZONES[part::4]):
        insist_on_tiling(STARTS[number % len(STARTS)], TERMS[number % 3 :] + TERMS[: number % 3], zone)


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(lambda value: value.replace(tzinfo=UTC)),
    st.lists(st.integers(1, 120), min_size=1, max_size=6),
    st.sampled_from(ZONES),
)
def test_from_any_start_periods_tile_and_windows_are_whole(start: datetime, terms: list[int], zone: str) -> None:
    insist_on_tiling(start, terms, zone)
