"""What a run does when things go wrong, when it dies, and when two work at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from services.backup.domain.run import Reason
from services.backup.gateways.restic import RepositoryBusy, ResticFailed, ResticMissing
from services.backup.schedule import timers, wait_after
from services.backup.use_cases import alerts
from services.backup.use_cases import runs as stories
from shared.events.backup import BackupCompleted, BackupFailed
from shared.kit import virtual_clock
from shared.kit.timer_runner import TimerRunner
from tests.backup.world import EVERY_HOURS, World
from tests.support.measures import measured


async def the_run(world: World) -> dict[str, Any]:
    return (await world.runs())[-1]


async def test_a_run_without_files_waits_and_is_due_at_once_when_one_comes(world: World) -> None:
    await world.begin(files=False)
    run = await the_run(world)
    assert (run["status"], run["reason"]) == ("failed", "nothing-to-back-up")
    (failed,) = await world.told(BackupFailed)
    assert failed.reason == "nothing-to-back-up"
    assert world.snapshots() == 0
    await world.put_file()
    await world.service.run_due()
    assert (await the_run(world))["status"] == "succeeded"
    assert len(await world.told(BackupCompleted)) == 1


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (ResticMissing("restic is not installed"), "restic-missing"),
        (ResticFailed("backup ended with 1"), "restic-failed"),
    ],
)
async def test_trouble_is_told_once_and_tried_again(world: World, trouble: Exception, reason: str) -> None:
    world.restic.trouble = trouble
    await world.begin()
    run = await the_run(world)
    assert (run["status"], run["reason"]) == ("failed", reason)
    assert await stories.perform_run(world.service.runtime, run_id(run)) == reason
    assert [each.reason for each in await world.told(BackupFailed)] == [reason]
    assert (await world.put_file("other")).status_code == 200
    world.restic.trouble = None
    assert await stories.perform_run(world.service.runtime, run_id(run)) is None
    assert (await the_run(world))["attempts"] == 3
    assert (await the_run(world))["status"] == "succeeded"


async def test_a_sample_that_reads_back_differently_is_no_backup(world: World) -> None:
    world.restic.corrupt = True
    await world.begin()
    run = await the_run(world)
    assert (run["status"], run["reason"]) == ("failed", "sample-differs")
    assert world.snapshots() == 0
    world.restic.corrupt = False
    await stories.perform_run(world.service.runtime, run_id(run))
    assert (await the_run(world))["status"] == "succeeded"
    assert world.snapshots() == 1


async def test_a_snapshot_that_is_not_found_again_is_no_backup(world: World) -> None:
    world.restic.lose_snapshots = True
    await world.begin()
    assert (await the_run(world))["reason"] == "not-found-again"
    assert await world.told(BackupCompleted) == []


async def test_a_snapshot_with_fewer_files_than_there_were_is_no_backup(world: World) -> None:
    world.restic.die_after_backup = ResticFailed("killed")
    await world.begin()
    (kept,) = [kept for snapshots in world.restic.repositories.values() for kept in snapshots.values()]
    kept.contents.clear()
    run = await the_run(world)
    assert await stories.perform_run(world.service.runtime, run_id(run)) == Reason.RESTIC_FAILED
    assert world.snapshots() == 0


async def test_a_run_that_died_after_its_backup_adopts_the_snapshot(world: World) -> None:
    world.restic.die_after_backup = RepositoryBusy("the process died here, before it could record anything")
    await world.begin()
    run = await the_run(world)
    assert run["status"] == "due"
    assert world.snapshots() == 1
    await world.put_file(content=b"changed meanwhile")
    await world.put_file("another", b"new meanwhile")
    await stories.perform_run(world.service.runtime, run_id(run))
    run = await the_run(world)
    assert run["status"] == "succeeded"
    assert world.snapshots() == 1
    assert run["files"] == 1


async def test_two_replicas_make_one_run_per_slot(world: World) -> None:
    await world.service.tell(world.server_registered())
    await world.put_file()
    await world.service.tell(world.service_registered())
    replicas = [TimerRunner(world.service.runtime, timers) for _ in range(3)]
    for _ in range(4):
        await asyncio.gather(*[replica.run_due() for replica in replicas])
        await asyncio.gather(*[job for replica in replicas for job in replica._jobs.values()])
    assert [run["status"] for run in await world.runs()] == ["succeeded"]
    assert world.snapshots() == 1
    assert len(await world.told(BackupCompleted)) == 1


async def test_two_performances_of_one_run_tell_one_outcome(world: World) -> None:
    world.restic.trouble = ResticMissing()
    await world.begin()
    world.restic.trouble = None
    run = await the_run(world)
    await asyncio.gather(
        *[stories.perform_run(world.service.runtime, run_id(run)) for _ in range(3)], return_exceptions=True
    )
    assert (await the_run(world))["status"] == "succeeded"
    assert world.snapshots() == 1
    assert len(await world.told(BackupCompleted)) == 1


async def test_after_a_jump_there_is_one_run_and_an_alert(world: World) -> None:
    await world.begin()
    with capture_logs() as logs:
        await world.service.advance(by=timedelta(hours=EVERY_HOURS * 10 + 1))
    assert len(await world.runs()) == 2
    protection = await world.protection()
    assert protection["missed_slots"] == 9
    assert protection["overdue"] is False
    assert [entry["missed"] for entry in logs if entry["event"] == "backup slots missed"] == [9]


async def test_a_missing_backup_raises_an_alert_by_itself(world: World) -> None:
    world.restic.trouble = ResticFailed("disk full")
    await world.begin()
    assert (await world.protection())["overdue"] is False
    with capture_logs() as logs:
        await world.service.advance(by=timedelta(hours=2))
    assert (await world.protection())["overdue"] is True
    assert [entry["log_level"] for entry in logs if entry["event"] == "backup overdue"] == ["error"]
    shown = await measured(world.service, alerts.measure)
    assert shown["mainstay_recovery_points_breached"] == 1
    assert 7200 <= shown["mainstay_recovery_point_breach_seconds"] < 7300


async def test_a_recovery_point_is_breached_until_a_backup_succeeds(world: World) -> None:
    async def breached() -> float:
        return (await measured(world.service, alerts.measure))["mainstay_recovery_points_breached"]

    await world.begin()
    assert await breached() == 0
    # Nobody takes the next slot: no timer moves.
    async with world.service.runtime.database.transaction() as tx:
        await virtual_clock.advance(tx, tx.now + timedelta(hours=EVERY_HOURS, minutes=59))
    assert await breached() == 0
    async with world.service.runtime.database.transaction() as tx:
        await virtual_clock.advance(tx, tx.now + timedelta(minutes=2))
    assert await breached() == 1
    await world.service.run_due()
    assert await breached() == 0


async def test_a_slot_that_never_succeeded_is_given_up_for_the_next(world: World) -> None:
    world.restic.trouble = ResticFailed("disk full")
    await world.begin()
    await world.service.advance(by=timedelta(hours=EVERY_HOURS))
    world.restic.trouble = None
    await world.service.advance(by=timedelta(hours=EVERY_HOURS))
    assert [run["status"] for run in await world.runs()] == ["missed", "missed", "succeeded"]


async def test_a_run_given_up_while_it_worked_still_counts(world: World) -> None:
    world.restic.die_after_backup = RepositoryBusy("still running")
    await world.begin()
    slow = await the_run(world)
    await world.service.tell(world.service_expired())
    assert (await the_run(world))["status"] == "missed"
    snapshot = await world.restic.find(next(iter(world.restic.repositories)), f"run:{slow['id']}")
    assert snapshot is not None
    await stories._record_success(world.service.runtime, run_id(slow), snapshot, "0" * 64)
    assert (await the_run(world))["status"] == "succeeded"


@pytest.mark.parametrize(
    ("reason", "attempts", "seconds"),
    [
        (Reason.NOTHING_TO_BACK_UP, 50, 30),
        (Reason.RESTIC_MISSING, 1, 60),
        (Reason.RESTIC_FAILED, 1, 30),
        (Reason.RESTIC_FAILED, 2, 60),
        (Reason.RESTIC_FAILED, 5000, 900),
    ],
)
def test_the_wait_before_the_next_attempt_is_bounded(reason: Reason, attempts: int, seconds: int) -> None:
    assert wait_after(reason, attempts) == timedelta(seconds=seconds)


def run_id(run: dict[str, Any]) -> UUID:
    return UUID(run["id"])
