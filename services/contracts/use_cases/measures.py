"""What an operator watches of contracts."""

from __future__ import annotations

from prometheus_client import Gauge

from services.contracts.db import contracts, disclosures
from shared.kit.db import Reader
from shared.kit.measuring import Reading

IN_WINDOW = Gauge("mainstay_contracts_in_window", "Contracts between their window's opening and their end", ["service"])

ROTATIONS_OVERDUE = Gauge(
    "mainstay_contracts_rotations_overdue", "Disclosed secrets not replaced within the agreement's hours", ["service"]
)


async def measure(reader: Reader) -> list[Reading]:
    return [
        Reading(IN_WINDOW, await contracts.count_in_window(reader)),
        Reading(ROTATIONS_OVERDUE, await disclosures.count_overdue(reader)),
    ]
