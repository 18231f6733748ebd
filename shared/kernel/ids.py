"""UUIDv7 (RFC 9562): ids that sort by the time they were made, also within one millisecond."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """A fresh UUIDv7; ids of one process increase strictly, also when the clock steps back."""
    global _last
    # 48 bits of milliseconds, then 12 bits of fraction: method 3 of RFC 9562, section 6.2.
    nanoseconds = time.time_ns()
    stamp = (nanoseconds // 1_000_000 << 12) | (nanoseconds % 1_000_000 << 12) // 1_000_000
    with _lock:
        _last = stamp = max(stamp, _last + 1)
    high = stamp >> 12 << 16 | 0x7000 | stamp & 0xFFF
    low = 0x8000_0000_0000_0000 | int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=high << 64 | low)
