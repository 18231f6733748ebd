"""What makes a run repeatable, and what goes wrong in it: deaths between any two steps."""

from __future__ import annotations

import logging
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import structlog
from sqlalchemy.engine.url import URL

from services.contracts.db import agreements, catalogue
from shared.kernel import ids
from shared.kit import runtime, timer_runner
from shared.kit.bus import clock as bus_clock
from shared.kit.bus import relay
from shared.kit.db import Database, Reader, Transaction
from shared.kit.on_sqlite import OnSqlite
from tests.simulation.agenda import Dice, SimulatedClock
from tests.simulation.terms import simulated_agreements, simulated_catalogue


class Died(BaseException):
    """The process is gone; no `except Exception` of the product gets to see it."""


class Saboteur:
    """Once armed, the process dies at one of its next steps, which are before and after every commit, every call of a
    third party and every record's way into the log."""

    def __init__(self) -> None:
        self._left = 0
        self.deaths: Counter[str] = Counter()

    def arm(self, dice: Dice, probability: float, *, steps: int) -> None:
        self._left = dice.random.randint(1, steps) if dice.falls(probability) else 0

    def disarm(self) -> None:
        self._left = 0

    async def hook(self, tx: Transaction) -> None:
        """The last of the commit hooks."""
        self.step("before a commit")
        tx.after_commit(lambda: self.step("after a commit"))

    def step(self, where: str) -> None:
        if self._left == 0:
            return
        self._left -= 1
        if self._left == 0:
            self.deaths[where] += 1
            raise Died()


class SimulatedDatabase(Database):
    """SQLite whose commits do not leave the event loop, on the simulated clock, also where leases ask for real time."""

    simulated: SimulatedClock

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.clock = self.simulated
        self.driver = SimulatedSqlite(self.url)

    async def real_now(self) -> datetime:
        return self.clock.now()


class SimulatedSqlite(OnSqlite):
    def __init__(self, url: URL) -> None:
        super().__init__(url)
        # What a power cut would lose is of no interest here.
        self._writer.connection.execute("PRAGMA synchronous=OFF")

    async def _in_thread(self, work: Callable[[], None]) -> None:
        work()


@contextmanager
def repeatable(seed: int, clock: SimulatedClock) -> Iterator[None]:
    """Ids, jitter, backoff and leases follow the seed and the simulated clock; the logs are silent."""

    async def real_now(_reader: Reader) -> datetime:
        return clock.now()

    database = type("SimulatedDatabase", (SimulatedDatabase,), {"simulated": clock})
    state, logged = random.getstate(), structlog.get_config()
    random.seed(seed)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        for target, name, value in (
            (ids, "time", SimpleNamespace(time_ns=clock.time_ns)),
            (ids, "os", SimpleNamespace(urandom=Dice(seed, "ids").random.randbytes)),
            (ids, "_last", 0),
            (relay, "time", SimpleNamespace(monotonic=clock.monotonic)),
            *((module, "real_now", real_now) for module in _who_asks_for_real_time()),
            (runtime, "Database", database),
            (timer_runner, "BATCH_ON_SQLITE", 8),
            (timer_runner, "JOBS_AT_ONCE", 1),
            (agreements, "published", simulated_agreements),
            (catalogue, "published", simulated_catalogue),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        stack.callback(random.setstate, state)
        stack.callback(lambda: structlog.configure(**logged))
        yield


def _who_asks_for_real_time() -> list[ModuleType]:
    """Whoever has the function by name: one left out would run timers by today's clock, again and again."""
    ours = [module for name, module in sys.modules.items() if name.startswith(("shared.", "services."))]
    return [module for module in ours if vars(module).get("real_now") is bus_clock.real_now]
