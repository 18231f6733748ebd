"""What is measured of a database: by one replica at a time, and never shown for longer than it is known."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, Gauge

from shared.kit import measuring
from shared.kit.db import DatabaseAway, Reader
from shared.kit.measuring import Measurer, Reading
from tests.infrastructure.waiting import eventually
from tests.kit.support import running_parcels
from tests.support.service import ServiceUnderTest

AGE = Gauge("test_oldest_parcel_seconds", "For this test", ["service", "shelf"])


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with running_parcels(f"sqlite:///{tmp_path}/parcels.db", tmp_path) as running:
        yield running


class Parcels:
    """A measure whose answers the test gives."""

    def __init__(self) -> None:
        self.ages: dict[str, float] = {"top": 3.0}
        self.trouble: Exception | None = None
        self.looks = 0

    async def measure(self, _reader: Reader) -> Sequence[Reading]:
        self.looks += 1
        if self.trouble is not None:
            raise self.trouble
        return [Reading(AGE, age, (shelf,)) for shelf, age in self.ages.items()]


def shown(shelf: str) -> float | None:
    return REGISTRY.get_sample_value("test_oldest_parcel_seconds", {"service": "parcels", "shelf": shelf})


async def test_only_the_replica_that_may_measures_and_what_it_no_longer_may_show_is_gone(
    service: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pause in ("MEASURE_SECONDS", "LOOK_SECONDS", "FORGOTTEN_AFTER_SECONDS"):
        monkeypatch.setattr(measuring, pause, 0.01)
    parcels, leads, stop = Parcels(), asyncio.Event(), asyncio.Event()
    measurer = Measurer(service.runtime.database, "parcels", [parcels.measure], may_measure=leads.is_set)
    running = asyncio.create_task(measurer.run(stop))

    async def showing(value: float | None) -> None:
        async def so() -> bool:
            return shown("top") == value

        await eventually(so)

    try:
        await showing(None)
        assert parcels.looks == 0
        leads.set()
        await showing(3.0)
        leads.clear()
        await showing(None)
        leads.set()
        await showing(3.0)
    finally:
        stop.set()
        await running
    assert shown("top") is None


async def test_a_lead_lost_for_a_moment_leaves_no_gap(
    service: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "LOOK_SECONDS", 0.01)
    parcels, looks, stop = Parcels(), itertools.count(), asyncio.Event()

    def may_measure() -> bool:
        return next(looks) < 0

    measurer = Measurer(service.runtime.database, "parcels", [parcels.measure], may_measure=may_measure)
    await measurer.measure()
    running = asyncio.create_task(measurer.run(stop))

    async def looked() -> bool:
        return next(looks) > 10

    await eventually(looked)
    assert shown("top") == 3.0
    stop.set()
    await running
    assert shown("top") is None


async def test_what_is_no_longer_read_is_no_longer_shown(service: ServiceUnderTest) -> None:
    parcels = Parcels()
    measurer = Measurer(service.runtime.database, "parcels", [parcels.measure], may_measure=lambda: True)
    await measurer.measure()
    parcels.ages = {"bottom": 5.0}
    await measurer.measure()
    assert (shown("top"), shown("bottom")) == (None, 5.0)
    measurer.forget()


@pytest.mark.parametrize("trouble", [DatabaseAway(), ZeroDivisionError()])
async def test_trouble_ends_no_measuring_and_leaves_the_time_of_the_last_success(
    service: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    monkeypatch.setattr(measuring, "MEASURE_SECONDS", 0.01)
    parcels, stop = Parcels(), asyncio.Event()
    measurer = Measurer(service.runtime.database, "parcels", [parcels.measure], may_measure=lambda: True)
    await measurer.measure()
    at = REGISTRY.get_sample_value("mainstay_measured_timestamp_seconds", {"service": "parcels"})
    parcels.trouble = trouble
    running = asyncio.create_task(measurer.run(stop))

    async def looked() -> bool:
        return parcels.looks > 3

    await eventually(looked)
    assert REGISTRY.get_sample_value("mainstay_measured_timestamp_seconds", {"service": "parcels"}) == at
    stop.set()
    await running
