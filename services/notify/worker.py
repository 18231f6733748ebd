"""The notify service's worker."""

from __future__ import annotations

from services.notify import consumers, schedule
from shared.kit.runtime import Runtime
from shared.kit.worker import Worker


def create_worker(runtime: Runtime) -> Worker:
    return Worker(runtime, consumers.handlers, schedule.timers)
