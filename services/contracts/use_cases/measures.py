"""What an operator watches of contracts."""

from __future__ import annotations

from prometheus_client import Gauge

from services.contracts.db import contracts, disclosures
from shared.kit.db import Reader
from shared.kit.measuring import Reading

IN_WINDOW = Gauge("mainstay_contracts_in_window", "Contracts between their window's opening and their end", ["service"])

ROTATION_OVERDUE = Gauge(
    "mainstay_rotation_overdue_seconds", "How long a disclosed secret has been due to be replaced", ["service"]
)


async def measure(reader: Reader) -> list[Reading]:
    return [
        Reading(IN_WINDOW, await contracts.count_in_window(reader)),
        Reading(ROTATION_OVERDUE, await _overdue_seconds(reader)),
    ]


async def _overdue_seconds(reader: Reader) -> float:
    due = await disclosures.first_overdue(reader)
    return max((reader.now - due).total_seconds(), 0.0) if due else 0.0
