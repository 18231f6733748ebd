"""A plan is served by the clock on the wall of the contract's zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.contracts.domain.service_hours import DAY_AND_NIGHT, service_hours_in

OFFICE = service_hours_in("mon-fri 08:00-18:00")


@pytest.mark.parametrize(
    ("instant", "zone", "covered"),
    [
        (datetime(2030, 1, 7, 6, 59, 59, 999999, tzinfo=UTC), "Europe/Berlin", False),
        (datetime(2030, 1, 7, 7, tzinfo=UTC), "Europe/Berlin", True),
        (datetime(2030, 1, 7, 16, 59, 59, 999999, tzinfo=UTC), "Europe/Berlin", True),
        (datetime(2030, 1, 7, 17, tzinfo=UTC), "Europe/Berlin", False),
        (datetime(2030, 7, 1, 6, tzinfo=UTC), "Europe/Berlin", True),  # summer time
        (datetime(2030, 1, 6, 12, tzinfo=UTC), "Europe/Berlin", False),  # a Sunday
        (datetime(2030, 1, 6, 23, tzinfo=UTC), "Pacific/Auckland", True),  # Monday noon there
        (datetime(2030, 1, 7, 0, tzinfo=UTC), "America/New_York", False),  # still Sunday there
    ],
)
def test_office_hours_are_those_of_the_zone(instant: datetime, zone: str, covered: bool) -> None:
    assert OFFICE.cover(instant, zone) is covered
    assert DAY_AND_NIGHT.cover(instant, zone)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("24x7", "24x7"),
        ("mon-sun 00:00-24:00", "24x7"),
        ("mon-fri 08:00-18:00", "mon,tue,wed,thu,fri 08:00-18:00"),
        ("sat,mon-tue 20:30-24:00", "mon,tue,sat 20:30-00:00"),
    ],
)
def test_service_hours_are_shown_day_by_day(text: str, shown: str) -> None:
    assert service_hours_in(text).shown() == shown


@pytest.mark.parametrize(
    "text", ["", "always", "mon-fri", "mon-fri 8-18", "mon 08:00-08:00", "mon 18:00-08:00", "fri-mon 08:00-18:00",
             "mon 08:00-25:00", "mon 08:00:30-18:00", "mon  08:00-18:00", "yum 08:00-18:00"]
)  # fmt: skip
def test_other_words_are_no_service_hours(text: str) -> None:
    with pytest.raises(ValueError):
        service_hours_in(text)
