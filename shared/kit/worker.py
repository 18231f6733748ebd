"""One call gives a service its worker: relay, consumer, timers, sealing and housekeeping until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from shared.kernel.errors import Unavailable
from shared.kit import audit_trail, idempotency
from shared.kit.bus.consumer import Consumer, Handlers
from shared.kit.bus.relay import Relay
from shared.kit.db import LockedByAnother
from shared.kit.runtime import Runtime
from shared.kit.schedule import TimerRunner, Timers

HOUSEKEEPING_SECONDS = 60.0
STOP_SECONDS = 3.0
"""A third party, a log or a database that does not answer holds nobody longer; what was under way is done again."""

log = structlog.get_logger("worker")


class Worker:
    """Several workers of one service may run at once; every loop shares its work by leases and locks."""

    def __init__(self, runtime: Runtime, handlers: Handlers, timers: Timers) -> None:
        if runtime.log is None:
            raise ValueError("a worker needs an event log")
        self.runtime = runtime
        database = runtime.database
        self.relay = Relay(database, runtime.log, name=runtime.name, doorbell=runtime.doorbell)
        self.consumer = Consumer(runtime.name, database, runtime.log, handlers)
        self.timers = TimerRunner(runtime, timers)
        self.sealer = audit_trail.Sealer(database, runtime.name, runtime.data_dir)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; a loop that ends unexpectedly ends the worker loudly."""
        async with self.runtime.doorbell.heard(self.timers.wake):
            await self._run(stop)

    async def _run(self, stop: asyncio.Event) -> None:
        loops: dict[str, Callable[[asyncio.Event], Awaitable[None]]] = {
            "relay": self.relay.run,
            "consumer": self.consumer.run,
            "timers": self.timers.run,
            "sealer": self.sealer.run,
            "housekeeping": self._keep_house,
        }
        tasks = {name: asyncio.ensure_future(loop(stop)) for name, loop in loops.items()}
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
        if failure is not None:
            raise failure

    async def _keep_house(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(Unavailable, LockedByAnother):
                async with self.runtime.database.transaction() as tx:
                    await idempotency.forget_old(tx)
            await _pause(stop, HOUSEKEEPING_SECONDS)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
