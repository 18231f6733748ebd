"""How long processes take to end in good order when they are told to."""

from __future__ import annotations

import asyncio
import time

from tests.system.installation import Installation

STOPS_WITHIN_SECONDS = 10.0


async def stopping(company: Installation, *names: str) -> dict[str, float]:
    """Seconds from SIGTERM to the end of each of the processes, one after the other."""
    seconds = {}
    for name in names:
        began = time.monotonic()
        await asyncio.to_thread(company.processes[name].stop, timeout=60)
        seconds[name] = time.monotonic() - began
    print("stopped after", {name: round(each, 1) for name, each in seconds.items()})
    return seconds
