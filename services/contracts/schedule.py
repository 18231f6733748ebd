"""What contracts does when time passes: timers look at what waits for its time, and do what is due."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.use_cases.disclosures import miss_rotation
from services.contracts.use_cases.emergencies import ESCALATE, escalate_emergency
from services.contracts.use_cases.happenings import EXTENSION_ENDS, PERIOD_ENDS, WINDOW_OPENS, let_time_pass
from services.contracts.use_cases.replacements import ROTATION_DUE
from services.contracts.use_cases.work_in_progress import SIGN_OFF, sign_off_by_time
from shared.kit.db import Transaction
from shared.kit.schedule import Timer, Timers

timers = Timers()


@timers.when_some(WINDOW_OPENS, PERIOD_ENDS, EXTENSION_ENDS)
async def time_passes(tx: Transaction, due: Sequence[Timer]) -> None:
    await let_time_pass(tx, due)


@timers.when(SIGN_OFF)
async def nobody_objected(tx: Transaction, timer: Timer) -> None:
    await sign_off_by_time(tx, timer.subject_id)


@timers.when(ROTATION_DUE)
async def rotation_due(tx: Transaction, timer: Timer) -> None:
    await miss_rotation(tx, timer.subject_id)


@timers.when(ESCALATE)
async def nobody_acknowledged(tx: Transaction, timer: Timer) -> None:
    await escalate_emergency(tx, timer.subject_id)
