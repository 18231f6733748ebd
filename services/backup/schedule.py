"""What the backup service does when time passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from services.backup.domain.run import Reason
from services.backup.gateways.restic import RepositoryBusy, ResticFailed, ResticMissing
from services.backup.use_cases import protections, restores, runs
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime
from shared.kit.schedule import Timer, Timers, TryLater

SHORT_WAIT = timedelta(seconds=30)
LONG_WAIT = timedelta(seconds=60)
LONGEST_WAIT = timedelta(minutes=15)
BUSY_WAIT = timedelta(seconds=10)

timers = Timers()


@timers.when(protections.SLOT_DUE)
async def slot_due(tx: Transaction, timer: Timer) -> None:
    await protections.take_due_slot(tx, timer.subject_id)


@timers.when(protections.ALERT)
async def alert_due(tx: Transaction, timer: Timer) -> None:
    await protections.alert_if_overdue(tx, timer.subject_id)


@timers.when(protections.RETENTION_ENDS)
async def retention_ends(tx: Transaction, timer: Timer) -> None:
    await protections.end_retention(tx, timer.subject_id)


@timers.job(protections.PERFORM_RUN)
async def perform_run(runtime: Runtime, timer: Timer) -> None:
    with _tried_later(timer):
        reason = await runs.perform_run(runtime, timer.subject_id)
    if reason is not None:
        raise TryLater(str(reason), wait_after(reason, timer.attempts))


@timers.job(restores.PERFORM_RESTORE)
async def perform_restore(runtime: Runtime, timer: Timer) -> None:
    with _tried_later(timer):
        await restores.perform_restore(runtime, timer.subject_id, attempt=timer.attempts)


@timers.job(restores.DISCARD_RESTORE)
async def discard_restore(runtime: Runtime, timer: Timer) -> None:
    await restores.discard_restore(runtime, timer.subject_id)


@timers.job(protections.DELETE_REPOSITORY)
async def delete_repository(runtime: Runtime, timer: Timer) -> None:
    with _tried_later(timer):
        await protections.delete_repository(runtime, timer.subject_id)


def wait_after(reason: Reason, attempts: int) -> timedelta:
    """Real time until the next attempt: doubling where restic fails, steady where only somebody else can help."""
    if reason == Reason.RESTIC_MISSING:
        return LONG_WAIT
    if reason == Reason.NOTHING_TO_BACK_UP:
        return SHORT_WAIT
    return min(SHORT_WAIT * (1 << min(attempts - 1, 10)), LONGEST_WAIT)


@contextmanager
def _tried_later(timer: Timer) -> Iterator[None]:
    try:
        yield
    except RepositoryBusy as busy:
        raise TryLater(str(busy), BUSY_WAIT) from busy
    except ResticMissing as missing:
        raise TryLater(str(missing), LONG_WAIT) from missing
    except (ResticFailed, OSError) as failure:
        raise TryLater(str(failure), wait_after(Reason.RESTIC_FAILED, timer.attempts)) from failure
