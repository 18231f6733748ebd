"""The worker of contracts."""

from __future__ import annotations

from services.contracts import consumers, schedule
from services.contracts.use_cases import measures
from shared.kit.runtime import Runtime
from shared.kit.worker import Worker


def create_worker(runtime: Runtime) -> Worker:
    return Worker(runtime, consumers.handlers, schedule.timers, [measures.measure])
