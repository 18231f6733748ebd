"""What contracts does when time passes: both timers look at the contract and do whatever is due."""

from __future__ import annotations

from services.contracts.use_cases.happenings import PERIOD_ENDS, WINDOW_OPENS, let_time_pass
from shared.kit.db import Transaction
from shared.kit.schedule import Timer, Timers

timers = Timers()


@timers.when(WINDOW_OPENS)
async def window_opens(tx: Transaction, timer: Timer) -> None:
    await let_time_pass(tx, timer.subject_id)


@timers.when(PERIOD_ENDS)
async def period_ends(tx: Transaction, timer: Timer) -> None:
    await let_time_pass(tx, timer.subject_id)
