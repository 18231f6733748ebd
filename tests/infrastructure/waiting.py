"""Waiting for a condition, and running a coroutine from plain code: the only places in the tests that pause."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Found = TypeVar("Found")

PAUSE_SECONDS = 0.02


def wait_until(condition: Callable[[], Found], *, timeout: float = 30.0, what: str = "the condition") -> Found:
    """Call `condition` until it answers something true and return that; TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what} did not come within {timeout:g} s")
        time.sleep(PAUSE_SECONDS)
    return found


async def eventually(
    condition: Callable[[], Coroutine[Any, Any, Found]], *, timeout: float = 30.0, what: str = "the condition"
) -> Found:
    """`wait_until` for an async condition: other tasks of the loop go on meanwhile."""
    deadline = time.monotonic() + timeout
    while not (found := await condition()):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what} did not come within {timeout:g} s")
        await asyncio.sleep(PAUSE_SECONDS)
    return found


def run_apart(coroutine: Coroutine[Any, Any, Found]) -> Found:
    """Run a coroutine on a loop and a thread of its own, so a caller need not know whether a loop is running."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
