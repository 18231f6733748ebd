"""How often one caller may ask: a bucket of requests per caller, refilled steadily, in this process."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from shared.kit.problems import TooManyRequests

REMEMBERED_CALLERS = 10_000
ROUNDING_SECONDS = 1e-6


class RateLimits:
    """Up to `burst` requests at once and `per_second` lastingly, for each caller; 0 per second: without limit."""

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 1 / per_second if per_second else 0.0
        self._ahead = (burst - 1) * self._seconds_each
        self._clock = clock
        # Per caller the instant at which its bucket is full again: the whole state of a bucket is one number.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, who: str) -> None:
        """Count one request of `who`; raises TooManyRequests."""
        if not self._seconds_each:
            return
        now = self._clock()
        full_at = max(self._full_at.get(who, now), now)
        if full_at - now > self._ahead + ROUNDING_SECONDS:
            raise TooManyRequests(retry_after_seconds=max(1, math.ceil(full_at - now - self._ahead)))
        self._full_at[who] = full_at + self._seconds_each
        self._full_at.move_to_end(who)
        if len(self._full_at) > REMEMBERED_CALLERS:
            self._full_at.popitem(last=False)
