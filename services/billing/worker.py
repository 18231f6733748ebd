"""Billing's worker."""

from __future__ import annotations

from services.billing import consumers, schedule
from services.billing.use_cases import measures
from shared.kit.runtime import Runtime
from shared.kit.worker import Worker


def create_worker(runtime: Runtime) -> Worker:
    return Worker(runtime, consumers.handlers, schedule.timers, [measures.measure])
