"""When a plan is served: weekdays and hours by the clock of the contract's zone, or day and night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time

from shared.kernel.period import zone_named

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, kw_only=True)
class ServiceHours:
    """`days` of the week from `opens` to `closes` on the wall; `closes` midnight is the end of the day."""

    days: tuple[str, ...] = WEEKDAYS
    opens: time = time(0)
    closes: time = time(0)

    @property
    def always(self) -> bool:
        return self.days == WEEKDAYS and self.opens == self.closes == time(0)

    def cover(self, instant: datetime, zone: str) -> bool:
        """Whether the plan is served at `instant` for a contract of that zone."""
        local = instant.astimezone(zone_named(zone))
        if WEEKDAYS[local.weekday()] not in self.days:
            return False
        wall = local.time()
        return wall >= self.opens and (self.closes == time(0) or wall < self.closes)

    def shown(self) -> str:
        """`24x7`, or `mon,tue 08:00-18:00`."""
        return "24x7" if self.always else f"{','.join(self.days)} {self.opens:%H:%M}-{self.closes:%H:%M}"


DAY_AND_NIGHT = ServiceHours()


def service_hours_in(text: str) -> ServiceHours:
    """Of `24x7` or `mon-fri 08:00-18:00`; raises ValueError."""
    if text == "24x7":
        return DAY_AND_NIGHT
    try:
        named, hours = text.split(" ")
        opens, closes = (_clock(each) for each in hours.split("-"))
        days = tuple(sorted({day for part in named.split(",") for day in _days(part)}, key=WEEKDAYS.index))
    except ValueError:
        raise ValueError(f"{text!r} are no service hours: 24x7, or for instance mon-fri 08:00-18:00") from None
    if closes != time(0) and opens >= closes:
        raise ValueError(f"{text!r} close before they open")
    return ServiceHours(days=days, opens=opens, closes=closes)


def _days(part: str) -> tuple[str, ...]:
    first, _, last = part.partition("-")
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    if start > end:
        raise ValueError
    return WEEKDAYS[start : end + 1]


def _clock(text: str) -> time:
    if len(text) != 5:
        raise ValueError
    return time(0) if text == "24:00" else time.fromisoformat(text)
