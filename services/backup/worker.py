"""The backup service's worker."""

from __future__ import annotations

from services.backup import consumers, schedule
from services.backup.use_cases import alerts
from shared.kit.runtime import Runtime
from shared.kit.worker import Worker


def create_worker(runtime: Runtime) -> Worker:
    return Worker(runtime, consumers.handlers, schedule.timers, [alerts.measure])
