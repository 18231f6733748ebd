"""What an operator watches of a service's database: read every few seconds by one replica, shown while fresh."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import structlog
from prometheus_client import Gauge

from shared.kernel.errors import Unavailable
from shared.kit.db import Database, LockedByAnother, Reader

MEASURE_SECONDS = 15.0
LOOK_SECONDS = 1.0
"""How soon a replica that may measure begins to."""
FORGOTTEN_AFTER_SECONDS = 60.0
"""A lease lost for a moment leaves no gap, in which an alert would begin to wait anew."""

log = structlog.get_logger("measuring")
MEASURED_AT = Gauge(
    "mainstay_measured_timestamp_seconds", "Unix time at which this service's database was last measured", ["service"]
)


class Reading(NamedTuple):
    """What a gauge is to show; the service's name is its first label, `labels` are those behind."""

    gauge: Gauge
    value: float
    labels: tuple[str, ...] = ()


Measure = Callable[[Reader], Awaitable[Sequence[Reading]]]
"""Each is a few statements that an index answers."""


class Measurer:
    """One replica's. Who may not measure any more soon shows nothing: it would show for ever what once was."""

    def __init__(
        self, database: Database, service: str, measures: Sequence[Measure], *, may_measure: Callable[[], bool]
    ) -> None:
        self._database = database
        self._service = service
        self._measures = measures
        self._may_measure = may_measure
        self._shown: set[tuple[Gauge, tuple[str, ...]]] = set()
        self._measured_at = -math.inf
        self.turned_at = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.turned_at = time.monotonic()
            pause = MEASURE_SECONDS if self._may_measure() else LOOK_SECONDS
            if self._may_measure():
                await self._try_to_measure()
            elif time.monotonic() - self._measured_at > FORGOTTEN_AFTER_SECONDS:
                self.forget()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
        self.forget()

    async def measure(self) -> None:
        """Raises DatabaseAway and whatever the measures raise."""
        async with self._database.reading() as reader:
            readings = [reading for measure in self._measures for reading in await measure(reader)]
        self._show([*readings, Reading(MEASURED_AT, time.time())])
        self._measured_at = time.monotonic()

    def forget(self) -> None:
        self._show([])

    async def _try_to_measure(self) -> None:
        try:
            await self.measure()
        except (Unavailable, LockedByAnother) as error:
            log.info("not measured", service=self._service, error=type(error).__name__)
        except Exception:
            log.exception("measuring failed and goes on", service=self._service)

    def _show(self, readings: Sequence[Reading]) -> None:
        shown = {(gauge, (self._service, *labels)): value for gauge, value, labels in readings}
        for (gauge, labels), value in shown.items():
            gauge.labels(*labels).set(value)
        for gauge, labels in self._shown - shown.keys():
            with suppress(KeyError):
                gauge.remove(*labels)
        self._shown = set(shown)
