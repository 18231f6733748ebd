"""What billing does when time passes: nothing yet."""

from __future__ import annotations

from shared.kit.schedule import Timers

timers = Timers()
