"""What an operator watches of contracts."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import Gauge

from services.contracts.db import contracts, disclosures, emergencies
from shared.kit.db import Reader
from shared.kit.measuring import Reading

IN_WINDOW = Gauge("mainstay_contracts_in_window", "Contracts between their window's opening and their end", ["service"])

ROTATION_OVERDUE = Gauge(
    "mainstay_rotation_overdue_seconds", "How long a disclosed secret has been due to be replaced", ["service"]
)

UNACKNOWLEDGED = Gauge(
    "mainstay_emergency_unacknowledged_seconds",
    "How long an emergency has waited past the time by which it was to be acknowledged",
    ["service"],
)


async def measure(reader: Reader) -> list[Reading]:
    return [
        Reading(IN_WINDOW, await contracts.count_in_window(reader)),
        Reading(ROTATION_OVERDUE, _seconds_since(await disclosures.first_overdue(reader), reader)),
        Reading(UNACKNOWLEDGED, _seconds_since(await emergencies.first_due(reader), reader)),
    ]


def _seconds_since(due: datetime | None, reader: Reader) -> float:
    return max((reader.now - due).total_seconds(), 0.0) if due else 0.0
