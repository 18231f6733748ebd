"""How long to wait before what has died is started again."""

from __future__ import annotations

FIRST_PAUSE_SECONDS = 0.5
STEADY_SECONDS = 10.0
"""What ran for so long had started well: its next death is a first one."""


def pause_after(pause: float | None, ran_seconds: float, *, longest: float) -> float:
    """Seconds; `pause`: the one before, None before the first death. Doubles from death to death up to `longest`."""
    if pause is None or ran_seconds > STEADY_SECONDS:
        return FIRST_PAUSE_SECONDS
    return min(pause * 2, longest)
