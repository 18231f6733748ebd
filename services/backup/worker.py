"""The backup service's worker: what every worker does, and the gauges of missing backups."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from services.backup import consumers, schedule
from services.backup.use_cases import alerts
from shared.kernel.errors import Unavailable
from shared.kit.runtime import Runtime
from shared.kit.worker import Worker

MEASURE_SECONDS = 5.0


class BackupWorker(Worker):
    async def run(self, stop: asyncio.Event) -> None:
        measuring = asyncio.create_task(self._measure(stop))
        try:
            await super().run(stop)
        finally:
            measuring.cancel()
            with suppress(asyncio.CancelledError):
                await measuring

    async def _measure(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(Unavailable):
                async with self.runtime.database.reading() as reader:
                    await alerts.measure(reader)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), MEASURE_SECONDS)


def create_worker(runtime: Runtime) -> Worker:
    return BackupWorker(runtime, consumers.handlers, schedule.timers)
