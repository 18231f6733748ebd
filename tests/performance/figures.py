"""What a row tells: figures with what was aimed at, and ratios of ours to a floor that ran beside it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Aim:
    """The goal and, beyond it, the stretch; `at_most` where less is better."""

    goal: float
    stretch: float | None = None
    at_most: bool = False

    def reached(self, value: float) -> str:
        """`stretch`, `goal` or `below`."""
        for name, bound in (("stretch", self.stretch), ("goal", self.goal)):
            if bound is not None and (value <= bound if self.at_most else value >= bound):
                return name
        return "below"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """`spread`: the quartiles of what `value` is the median of; `parts`: the absolute values behind a ratio."""

    name: str
    value: float
    unit: str = "x"
    aim: Aim | None = None
    spread: tuple[float, float] | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> str:
        return self.aim.reached(self.value) if self.aim else ""


Slice = Callable[[], Awaitable[Mapping[str, float]]]
"""Runs for a short while and returns what it measured; the same names in every slice."""
Pairs = Sequence[tuple[Mapping[str, float], Mapping[str, float]]]


async def paired(ours: Slice, floor: Slice, *, pairs: int) -> Pairs:
    """Run ours, floor, floor, ours … so that a slow drift of the machine meets both."""
    measured = []
    for number in range(pairs):
        if number % 2:
            floors = await floor()
            measured.append((await ours(), floors))
        else:
            mine = await ours()
            measured.append((mine, await floor()))
    return measured


def ratio(name: str, pairs: Pairs, by: str, *, aim: Aim | None = None, inverse: bool = False) -> Figure:
    """The median of ours / floor over `pairs` of what is measured as `by`; `inverse` for costs: floor / ours."""
    ratios = [floor[by] / ours[by] if inverse else ours[by] / floor[by] for ours, floor in pairs]
    parts: dict[str, float] = {}
    for side, label in enumerate(("ours", "floor")):
        parts |= {f"{label} {what}": statistics.median(pair[side][what] for pair in pairs) for what in pairs[0][side]}
    if by != "CPU µs" and all("CPU µs" in side for side in pairs[0]):
        parts["by CPU"] = statistics.median(floor["CPU µs"] / ours["CPU µs"] for ours, floor in pairs)
    return Figure(name=name, value=statistics.median(ratios), spread=quartiles(ratios), aim=aim, parts=parts)


def rate(name: str, unit: str, measured: Mapping[str, float], aim: Aim | None = None) -> Figure:
    """What an Effort measured, once."""
    parts = {what: value for what, value in measured.items() if what != "per second"}
    return Figure(name=name, value=measured["per second"], unit=unit, aim=aim, parts=parts)


class Effort:
    """A stopwatch for `count` things done in this process; CPU tells what a busy machine hides."""

    def __init__(self) -> None:
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def of(self, count: int) -> Mapping[str, float]:
        """Things per second, and per second of this process's CPU."""
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._cpu
        return {"per second": count / seconds, "per CPU second": count / cpu}


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
