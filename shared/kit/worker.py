"""One call gives a service its worker: relay, consumer, timers, sealing and housekeeping until told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

import structlog
from prometheus_client import Gauge

from shared.kernel.errors import Unavailable
from shared.kit import audit_trail, idempotency, parked_timers
from shared.kit.bus.consumer import Consumer
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.relay import Relay
from shared.kit.db import Database, LockedByAnother
from shared.kit.measuring import Measure, Measurer
from shared.kit.runtime import Runtime
from shared.kit.schedule import Timers
from shared.kit.timer_runner import TimerRunner

HOUSEKEEPING_SECONDS = 60.0
STOP_SECONDS = 3.0
"""A third party, a log or a database that does not answer holds nobody longer; what was under way is done again."""
STANDS_STILL_SECONDS = 180.0
"""Longer than any turn of a loop can take: each statement, append and join in it has a bound of its own."""

log = structlog.get_logger("worker")
LOOP_IDLE = Gauge(
    "mainstay_worker_loop_idle_seconds", "Since when a worker's loop has not come round", ["service", "loop"]
)


class Loop(Protocol):
    """Goes round until told to stop, and says when it last came round."""

    turned_at: float
    """time.monotonic(); infinite for a loop that has nothing to do."""

    async def run(self, stop: asyncio.Event) -> None: ...


class Worker:
    """Several workers of one service may run at once; every loop shares its work by leases and locks."""

    def __init__(self, runtime: Runtime, handlers: Handlers, timers: Timers, measures: Sequence[Measure] = ()) -> None:
        """`measures`: the service's own, besides those of the kit."""
        if runtime.log is None:
            raise ValueError("a worker needs an event log")
        self.runtime = runtime
        database = runtime.database
        self.relay = Relay(database, runtime.log, name=runtime.name, doorbell=runtime.doorbell)
        self.consumer = Consumer(runtime.name, database, runtime.log, handlers)
        self.timers = TimerRunner(runtime, timers)
        self.sealer = audit_trail.Sealer(database, runtime.name, runtime.data_dir)
        self.housekeeper = _Housekeeper(database)
        self.measurer = Measurer(
            database,
            runtime.name,
            [parked_timers.measure, audit_trail.measure, *measures],
            may_measure=self.relay.has_first_shard,
        )
        self._running: Mapping[str, asyncio.Future[None]] = {}

    @property
    def loops(self) -> dict[str, Loop]:
        return {
            "relay": self.relay,
            "consumer": self.consumer,
            "timers": self.timers,
            "sealer": self.sealer,
            "housekeeping": self.housekeeper,
            "measuring": self.measurer,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; a loop that ends unexpectedly ends the worker loudly."""
        async with self.runtime.doorbell.heard(self.timers.wake):
            await self._run(stop)

    def standing_still(self) -> list[str]:
        """The loops that have ended, or have not come round for STANDS_STILL_SECONDS."""
        since = time.monotonic() - STANDS_STILL_SECONDS
        ended = {name for name, task in self._running.items() if task.done()}
        return [name for name, loop in self.loops.items() if name in ended or loop.turned_at < since]

    async def _run(self, stop: asyncio.Event) -> None:
        tasks = {name: asyncio.ensure_future(loop.run(stop)) for name, loop in self.loops.items()}
        self._running = tasks
        for name, loop in self.loops.items():
            LOOP_IDLE.labels(self.runtime.name, name).set_function(partial(_idle_seconds, loop))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([*tasks.values(), stopping], return_when=asyncio.FIRST_COMPLETED)
        failure: BaseException | None = None
        for name, task in tasks.items():
            if task.done() and not stop.is_set():
                failure = task.exception() or RuntimeError(f"{name} ended")
                log.error("worker loop ended", service=self.runtime.name, loop=name, error=type(failure).__name__)
        stop.set()
        self.timers.wake.set()
        stopping.cancel()
        _done, slow = await asyncio.wait(tasks.values(), timeout=STOP_SECONDS)
        for task in slow:
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for name in self.loops:
            with suppress(KeyError):
                LOOP_IDLE.remove(self.runtime.name, name)
        if failure is not None:
            raise failure


def _idle_seconds(loop: Loop) -> float:
    return max(time.monotonic() - loop.turned_at, 0.0)


class _Housekeeper:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.turned_at = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.turned_at = time.monotonic()
            with suppress(Unavailable, LockedByAnother):
                async with self._database.transaction() as tx:
                    await idempotency.forget_old(tx)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), HOUSEKEEPING_SECONDS)
