"""Periods tile from their anchor, and the window is never shorter than its days."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.kernel.period import Period, TermOutOfRange, UnknownZone, boundary, end_of_day, zone_named

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Shanghai",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Africa/Casablanca",
    "Asia/Tehran",
    "America/Sao_Paulo",
]
starts = st.datetimes(datetime(1980, 1, 1), datetime(2080, 1, 1)).map(lambda value: value.replace(tzinfo=UTC))
zones = st.sampled_from(ZONES)
terms = st.lists(st.integers(1, 36), min_size=1, max_size=12)


def chain(start: datetime, months: list[int], zone: str) -> list[Period]:
    periods = [Period.first(start, months=months[0], zone=zone)]
    for term in months[1:]:
        periods.append(periods[-1].next(months=term))
    return periods


def local(instant: datetime, zone: str) -> datetime:
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@given(starts, terms, zones)
@example(datetime(2024, 1, 31, 23, 30, tzinfo=UTC), [1, 1, 1, 12], "Europe/Berlin")
@example(datetime(2011, 11, 30, 22, tzinfo=UTC), [1, 1, 1], "Pacific/Apia")
def test_periods_tile_without_gap_or_overlap(start: datetime, months: list[int], zone: str) -> None:
    periods = chain(start, months, zone)
    assert periods[0].starts_at == start
    for earlier, later in itertools.pairwise(periods):
        assert earlier.starts_at < earlier.ends_at == later.starts_at
        assert later.index == earlier.index + 1
        assert not earlier.contains(later.starts_at)
        assert later.contains(later.starts_at)


@given(starts, terms, zones)
def test_a_chain_of_terms_ends_where_one_long_term_would(start: datetime, months: list[int], zone: str) -> None:
    last = chain(start, months, zone)[-1]
    first = chain(start, months, zone)[0]
    assert last.ends_at == boundary(first.start_month + sum(months), first.anchor_day, first.anchor_time, zone)


@given(starts, terms, zones)
def test_the_anchor_day_is_kept_or_is_the_last_of_a_short_month(start: datetime, months: list[int], zone: str) -> None:
    last = chain(start, months, zone)[-1]
    end = local(last.ends_at, zone)
    if end.time() == last.anchor_time:  # no clock change at this very minute
        assert end.day == last.anchor_day or (end.day < last.anchor_day and (end + timedelta(days=1)).day == 1)


@given(starts, st.integers(1, 24), zones, st.integers(1, 7))
@example(datetime(2024, 3, 1, 1, 30, tzinfo=UTC), 1, "Europe/Berlin", 3)
@example(datetime(2024, 3, 2, 7, 30, tzinfo=UTC), 1, "America/New_York", 3)
@example(datetime(2024, 10, 28, 1, 30, tzinfo=UTC), 12, "Europe/Berlin", 3)
@example(datetime(2011, 12, 1, 22, tzinfo=UTC), 1, "Pacific/Apia", 3)
def test_the_window_is_never_shorter_than_its_days_by_calendar_or_by_hours(
    start: datetime, months: int, zone: str, days: int
) -> None:
    period = Period.first(start, months=months, zone=zone)
    window = period.window(days)
    assert window.closes_at == period.ends_at
    assert window.closes_at - window.opens_at >= timedelta(hours=24 * days)
    assert local(window.opens_at, zone).date() <= local(period.ends_at, zone).date() - timedelta(days=days)
    assert period.starts_at < window.opens_at


@given(starts, zones)
def test_a_window_is_open_from_its_opening_up_to_but_not_at_its_close(start: datetime, zone: str) -> None:
    window = Period.first(start, months=1, zone=zone).window(3)
    moment = timedelta(microseconds=1)
    assert [window.is_open(at) for at in (window.opens_at - moment, window.opens_at)] == [False, True]
    assert [window.is_open(at) for at in (window.closes_at - moment, window.closes_at)] == [True, False]


@pytest.mark.parametrize(("year", "february"), [(2026, 28), (2028, 29)])
def test_the_31st_ends_on_the_last_of_february_and_comes_back_in_march(year: int, february: int) -> None:
    first = Period.first(datetime(year, 1, 31, 12, tzinfo=UTC), months=1, zone="Asia/Shanghai")
    second = first.next()
    assert local(first.ends_at, "Asia/Shanghai") == datetime(year, 2, february, 20)
    assert local(second.ends_at, "Asia/Shanghai") == datetime(year, 3, 31, 20)


def test_a_wall_time_that_the_clock_change_skips_moves_forward_by_the_gap() -> None:
    end = boundary(2030 * 12 + 2, 31, time(2, 30), "Europe/Berlin")  # 31 March 2030, 02:00 becomes 03:00
    assert local(end, "Europe/Berlin") == datetime(2030, 3, 31, 3, 30)


def test_a_wall_time_that_comes_twice_means_the_first() -> None:
    end = boundary(2030 * 12 + 9, 27, time(2, 30), "Europe/Berlin")  # 27 October 2030
    assert end == datetime(2030, 10, 27, 0, 30, tzinfo=UTC)


def test_the_day_of_the_change_makes_three_calendar_days_longer_than_72_hours() -> None:
    period = Period.first(datetime(2030, 9, 28, 10, tzinfo=UTC), months=1, zone="Europe/Berlin")
    assert period.ends_at - period.window(3).opens_at == timedelta(hours=73)


def test_three_days_with_a_skipped_hour_still_last_72_hours() -> None:
    period = Period.first(datetime(2030, 3, 1, 11, tzinfo=UTC), months=1, zone="Europe/Berlin")
    assert period.ends_at - period.window(3).opens_at == timedelta(hours=72)


@pytest.mark.parametrize("name", ["", "Berlin", "localtime", "../etc/passwd", "Europe/Berlin\x00", "europe/berlin"])
def test_a_zone_outside_the_iana_database_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone):
        zone_named(name)


@pytest.mark.parametrize("months", [0, -1, 121])
def test_a_term_is_one_to_120_months(months: int) -> None:
    with pytest.raises(TermOutOfRange):
        Period.first(datetime(2030, 1, 1, tzinfo=UTC), months=months, zone="UTC")
    with pytest.raises(TermOutOfRange):
        Period.first(datetime(2030, 1, 1, tzinfo=UTC), months=1, zone="UTC").next(months=months)


def test_a_day_ends_where_the_next_begins_in_every_zone() -> None:
    """Also where midnight is skipped, comes twice, or the day itself never was; each zone's years of change."""
    moment = timedelta(microseconds=1)
    for number, name in enumerate(sorted(available_timezones() - {"localtime"})):
        zone = zone_named(name)
        first = date(1970 + number % 66, 1, 1)
        for days in range(0, 366, 5 + number % 3):
            day = first + timedelta(days=days)
            end = end_of_day(day, name)
            assert end.astimezone(zone).date() > day, (name, day)
            # The last moment of a day that never was belongs to the day before.
            assert (end - moment).astimezone(zone).date() <= day, (name, day)


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        (date(2030, 4, 25), "Africa/Cairo", "2030-04-25T22:00:00+00:00"),  # midnight is skipped
        (date(2030, 11, 2), "America/Havana", "2030-11-03T04:00:00+00:00"),  # midnight comes twice: the first
        (date(2011, 12, 29), "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
        (date(2011, 12, 30), "Pacific/Apia", "2011-12-30T10:00:00+00:00"),  # a day that never was
        (date(2030, 3, 20), "Europe/Berlin", "2030-03-20T23:00:00+00:00"),
    ],
)
def test_a_day_ends_at_an_instant(day: date, zone: str, end: str) -> None:
    assert end_of_day(day, zone).isoformat() == end
