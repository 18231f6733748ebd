"""What contracts does when time passes: both timers look at the contract and do whatever is due."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.use_cases.happenings import PERIOD_ENDS, WINDOW_OPENS, let_time_pass
from shared.kit.db import Transaction
from shared.kit.schedule import Timer, Timers

timers = Timers()


@timers.when_some(WINDOW_OPENS, PERIOD_ENDS)
async def time_passes(tx: Transaction, due: Sequence[Timer]) -> None:
    await let_time_pass(tx, due)
