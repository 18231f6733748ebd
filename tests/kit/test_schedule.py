"""A timer is done once, by one replica, late rather than never, and a bad one does not stop the others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from prometheus_client import Gauge

from shared.kernel.ids import new_id
from shared.kit import parked_timers, timer_runner
from shared.kit.db import DatabaseAway, Transaction
from shared.kit.parked_timers import NoSuchTimer
from shared.kit.runtime import Runtime
from shared.kit.schedule import Timer, Timers, TryLater, cancel_timer, set_timer
from shared.kit.tables import timers
from shared.kit.timer_runner import TimerRunner
from tests.infrastructure.waiting import eventually
from tests.kit.support import count, parcels, running_parcels
from tests.support.service import ServiceUnderTest

MINUTE = timedelta(minutes=1)


@pytest.fixture
def table() -> Timers:
    return Timers()


@pytest.fixture
async def service(database_url: str, tmp_path: Path, table: Timers) -> AsyncIterator[ServiceUnderTest]:
    async with running_parcels(database_url, tmp_path, timers=table, clock="virtual") as running:
        yield running


@pytest.fixture
def seen(table: Timers) -> list[str]:
    """What the timers of kind `note` have done, in order; each also leaves a parcel in its transaction."""
    notes: list[str] = []

    @table.when("note")
    async def note(tx: Transaction, timer: Timer) -> None:
        await tx.insert(parcels, {"id": new_id(), "label": f"{timer.payload['name']} {timer.id}"})
        tx.after_commit(lambda: notes.append(timer.payload["name"]))

    return notes


async def a_timer(
    service: ServiceUnderTest, name: str = "a", *, kind: str = "note", subject: UUID | None = None, **due: Any
) -> UUID:
    """Set a timer that is due now, or after `after`."""
    subject = subject or new_id()
    async with service.runtime.database.transaction() as tx:
        await set_timer(tx, kind, subject, tx.now + due.get("after", -MINUTE), {"name": name})
    return subject


async def the_timer(service: ServiceUnderTest) -> Any:
    async with service.runtime.database.reading() as reader:
        return await reader.row(sa.select(timers))


async def change(service: ServiceUnderTest, **values: Any) -> None:
    async with service.runtime.database.transaction() as tx:
        await tx.execute(sa.update(timers).values(**values))


async def let_leases_run_out(service: ServiceUnderTest) -> None:
    await change(service, leased_until=await service.runtime.database.real_now() - MINUTE)


def a_runner(service: ServiceUnderTest) -> TimerRunner:
    return TimerRunner(service.runtime, service.timers)


async def measured(service: ServiceUnderTest, gauge: Gauge) -> float:
    async with service.runtime.database.reading() as reader:
        [reading] = [each for each in await parked_timers.measure(reader) if each.gauge is gauge]
    return reading.value


async def run_all(runner: TimerRunner) -> None:
    while await runner.run_due():
        await asyncio.gather(*list(runner._jobs.values()))


async def test_a_timer_waits_until_it_is_due_and_is_done_once(service: ServiceUnderTest, seen: list[str]) -> None:
    await a_timer(service, after=timedelta(hours=1))
    await service.run_due()
    assert seen == []
    await service.advance(by=timedelta(days=40))
    await service.run_due()
    assert seen == ["a"]
    assert await count(service, timers) == 0


async def test_timers_are_done_in_the_order_they_are_due(service: ServiceUnderTest, seen: list[str]) -> None:
    for name, minutes in [("third", 3), ("first", 1), ("second", 2)]:
        await a_timer(service, name, after=minutes * MINUTE)
    await service.advance(by=timedelta(hours=1))
    assert seen == ["first", "second", "third"]


async def test_two_runners_do_each_timer_once_between_them(service: ServiceUnderTest, seen: list[str]) -> None:
    for number in range(30):
        await a_timer(service, str(number))
    await asyncio.gather(*(run_all(a_runner(service)) for _ in range(3)))
    assert sorted(seen, key=int) == [str(number) for number in range(30)]
    assert await count(service) == 30


async def test_a_zombie_does_nothing_once_its_lease_was_taken_over(service: ServiceUnderTest, seen: list[str]) -> None:
    await a_timer(service)
    zombie, other = a_runner(service), a_runner(service)
    [held] = await zombie._claim()
    assert await other._claim() == []
    await let_leases_run_out(service)
    assert await other.run_due()
    await zombie._run_batch([held])
    assert seen == ["a"]
    assert await count(service) == 1


async def test_a_zombie_that_fails_does_not_put_back_what_another_holds(
    service: ServiceUnderTest, table: Timers
) -> None:
    @table.job("fetch")
    async def fetch(_runtime: Runtime, _timer: Timer) -> None:
        raise ConnectionError

    await a_timer(service, kind="fetch")
    zombie, other = a_runner(service), a_runner(service)
    [held] = await zombie._claim()
    await let_leases_run_out(service)
    [taken] = await other._claim()
    await zombie._run_job(held)
    row = await the_timer(service)
    assert (row.leased_by, row.attempts) == (other._owner, taken.attempts)


async def test_a_timer_is_moved_by_setting_it_again(service: ServiceUnderTest, seen: list[str]) -> None:
    subject = await a_timer(service, "early", after=MINUTE)
    await a_timer(service, "late", subject=subject, after=timedelta(hours=2))
    await service.advance(by=timedelta(hours=1))
    assert seen == []
    await service.advance(by=timedelta(hours=2))
    assert seen == ["late"]


async def test_a_cancelled_timer_is_not_done(service: ServiceUnderTest, seen: list[str]) -> None:
    subject = await a_timer(service)
    async with service.runtime.database.transaction() as tx:
        await cancel_timer(tx, "note", subject)
    await service.run_due()
    assert seen == []


async def test_a_timer_that_sets_itself_again_goes_on(service: ServiceUnderTest, table: Timers) -> None:
    times: list[datetime] = []

    @table.when("tick")
    async def tick(tx: Transaction, timer: Timer) -> None:
        times.append(timer.due_at)
        await set_timer(tx, "tick", timer.subject_id, timer.due_at + timedelta(hours=1))

    await a_timer(service, kind="tick", after=timedelta())
    await service.advance(by=timedelta(hours=2, minutes=1))
    assert [later - times[0] for later in times] == [timedelta(hours=hours) for hours in range(3)]
    assert await count(service, timers) == 1


async def test_a_failing_timer_stores_nothing_backs_off_and_is_parked_with_its_reason(
    service: ServiceUnderTest, table: Timers, seen: list[str]
) -> None:
    @table.when("broken")
    async def broken(tx: Transaction, _timer: Timer) -> None:
        await tx.insert(parcels, {"id": new_id(), "label": "never"})
        raise ValueError("the row is wrong")

    await a_timer(service, kind="broken")
    await a_timer(service, "fine")
    runner, delays = a_runner(service), []
    for attempt in range(1, timer_runner.ATTEMPTS_BEFORE_PARKING + 1):
        await run_all(runner)
        row = await the_timer(service)
        assert row.attempts == attempt
        delays.append((row.leased_until - await service.runtime.database.real_now()).total_seconds())
        if attempt < timer_runner.ATTEMPTS_BEFORE_PARKING:
            assert row.parked_at is None
            assert not await runner.run_due(), "it was tried again before its delay was over"
            await let_leases_run_out(service)
    assert seen == ["fine"]
    assert row.parked_at is not None
    assert row.last_error == "ValueError: the row is wrong"
    assert all(0 < delay <= timer_runner.LONGEST_BACKOFF_SECONDS for delay in delays)
    assert delays[-1] > delays[0] * 4
    await let_leases_run_out(service)
    assert not await runner.run_due()
    assert await count(service) == 1


async def test_a_parked_timer_runs_again_when_a_person_says_so(
    service: ServiceUnderTest, table: Timers, seen: list[str]
) -> None:
    await a_timer(service)
    row = await the_timer(service)
    await change(service, parked_at=row.due_at, attempts=6, last_error="ValueError")
    await service.run_due()
    assert seen == []
    async with service.runtime.database.transaction() as tx:
        await parked_timers.retry(tx, row.id)
        with pytest.raises(NoSuchTimer):
            await parked_timers.retry(tx, row.id)
    await service.run_due()
    assert seen == ["a"]


async def test_the_gauge_of_parked_timers_falls_when_a_person_retries_one(
    service: ServiceUnderTest, seen: list[str]
) -> None:
    for name in ("a", "b"):
        await a_timer(service, name)
    await change(service, parked_at=await service.runtime.database.real_now())
    assert await measured(service, parked_timers.PARKED) == 2
    async with service.runtime.database.transaction() as tx:
        await parked_timers.retry(tx, (await parked_timers.list_parked(tx, limit=1))[0].id)
    assert await measured(service, parked_timers.PARKED) == 1


@pytest.mark.parametrize(
    ("trouble", "least_seconds"),
    [(lambda: TryLater("SMTP is away", timedelta(minutes=20)), 1190), (lambda: DatabaseAway(), 0)],
)
async def test_what_is_away_is_tried_again_and_never_parked(
    service: ServiceUnderTest, table: Timers, trouble: Callable[[], Exception], least_seconds: float
) -> None:
    @table.job("send")
    async def send(_runtime: Runtime, _timer: Timer) -> None:
        raise trouble()

    await a_timer(service, kind="send")
    runner = a_runner(service)
    for _ in range(timer_runner.ATTEMPTS_BEFORE_PARKING + 2):
        await run_all(runner)
        row = await the_timer(service)
        assert row.parked_at is None
        assert (row.leased_until - await service.runtime.database.real_now()).total_seconds() > least_seconds
        await let_leases_run_out(service)


async def test_a_job_whose_process_died_runs_again(service: ServiceUnderTest, table: Timers) -> None:
    runs: list[int] = []
    started = asyncio.Event()

    @table.job("fetch")
    async def fetch(runtime: Runtime, timer: Timer) -> None:
        runs.append(timer.attempts)
        if timer.attempts == 1:
            started.set()
            await asyncio.Event().wait()

    await a_timer(service, kind="fetch")
    dying = a_runner(service)
    await dying.run_due()
    await started.wait()
    for task in list(dying._jobs.values()):
        task.cancel()
    other = a_runner(service)
    assert not await other.run_due(), "the lease still holds"
    await let_leases_run_out(service)
    await run_all(other)
    assert runs == [1, 2]
    assert await count(service, timers) == 0


async def test_a_job_runs_outside_any_transaction(service: ServiceUnderTest, table: Timers) -> None:
    @table.job("fetch")
    async def fetch(runtime: Runtime, _timer: Timer) -> None:
        async with runtime.database.transaction() as tx:
            await tx.insert(parcels, {"id": new_id(), "label": "outcome"})

    await a_timer(service, kind="fetch")
    await asyncio.wait_for(service.run_due(), 10)
    assert await count(service) == 1


async def test_what_a_job_commits_belongs_to_what_set_its_timer(service: ServiceUnderTest, table: Timers) -> None:
    speakers: list[tuple[str, str | None]] = []

    @table.job("fetch")
    async def fetch(runtime: Runtime, _timer: Timer) -> None:
        for _ in range(2):
            async with runtime.database.transaction() as tx:
                speakers.append((tx.actor, tx.correlation_id))

    await a_timer(service, kind="fetch")
    correlation_id = (await the_timer(service)).correlation_id
    await asyncio.wait_for(service.run_due(), 10)
    async with service.runtime.database.transaction() as tx:
        speakers.append((tx.actor, tx.correlation_id))
    assert speakers == [("timer:fetch", correlation_id)] * 2 + [("system", None)]


async def test_a_long_job_keeps_its_lease(
    service: ServiceUnderTest, table: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timer_runner, "LEASE", timedelta(seconds=1.2))
    finish = asyncio.Event()
    runs: list[int] = []

    @table.job("fetch")
    async def fetch(_runtime: Runtime, timer: Timer) -> None:
        runs.append(timer.attempts)
        await finish.wait()

    await a_timer(service, kind="fetch")
    runner, other = a_runner(service), a_runner(service)
    await runner.run_due()
    first = (await the_timer(service)).leased_until

    async def renewed_twice() -> bool:
        await other.run_due()
        return bool((await the_timer(service)).leased_until > first + timedelta(seconds=0.5))

    await eventually(renewed_twice)
    finish.set()
    await asyncio.gather(*list(runner._jobs.values()))
    assert runs == [1]


async def test_a_job_whose_lease_ran_out_under_it_is_not_begun_beside_itself(
    service: ServiceUnderTest, table: Timers
) -> None:
    finish = asyncio.Event()
    runs: list[int] = []

    @table.job("fetch")
    async def fetch(_runtime: Runtime, timer: Timer) -> None:
        runs.append(timer.attempts)
        await finish.wait()

    await a_timer(service, kind="fetch")
    runner = a_runner(service)
    await runner.run_due()
    await asyncio.sleep(0)
    await let_leases_run_out(service)
    assert not await runner.run_due()
    finish.set()
    await asyncio.gather(*list(runner._jobs.values()))
    assert runs == [1]
    assert await count(service, timers) == 0


async def test_only_so_many_jobs_run_at_once_and_timers_are_not_held_up(
    service: ServiceUnderTest, table: Timers, seen: list[str]
) -> None:
    finish = asyncio.Event()

    @table.job("fetch")
    async def fetch(_runtime: Runtime, _timer: Timer) -> None:
        await finish.wait()

    for _ in range(timer_runner.JOBS_AT_ONCE + 2):
        await a_timer(service, kind="fetch")
    await a_timer(service, after=-timedelta(seconds=1))
    runner = a_runner(service)
    await runner.run_due()
    await runner.run_due()
    assert len(runner._jobs) == timer_runner.JOBS_AT_ONCE
    assert seen == ["a"]
    finish.set()
    await asyncio.gather(*list(runner._jobs.values()))
    await run_all(runner)
    assert await count(service, timers) == 0


async def test_a_runner_told_to_stop_stops_and_is_woken_by_the_doorbell(
    service: ServiceUnderTest, seen: list[str]
) -> None:
    runner, stop = a_runner(service), asyncio.Event()
    service.runtime.database.doorbells.append(runner.wake.set)
    running = asyncio.create_task(runner.run(stop))
    await a_timer(service)

    async def done() -> bool:
        return seen == ["a"]

    await eventually(done)
    stop.set()
    runner.wake.set()
    await asyncio.wait_for(running, 5)


async def test_the_age_of_the_oldest_due_timer_falls_back_to_nothing(
    service: ServiceUnderTest, seen: list[str]
) -> None:
    await a_timer(service, after=-timedelta(hours=1))
    assert await measured(service, parked_timers.OLDEST_DUE) >= 3600
    await a_runner(service).run_due()
    assert await measured(service, parked_timers.OLDEST_DUE) == 0


async def test_a_job_that_is_put_off_is_not_late(service: ServiceUnderTest, table: Timers) -> None:
    @table.job("send")
    async def send(_runtime: Runtime, _timer: Timer) -> None:
        raise TryLater("away", timedelta(minutes=20))

    await a_timer(service, kind="send", after=-timedelta(hours=1))
    await run_all(a_runner(service))
    assert await measured(service, parked_timers.OLDEST_DUE) == 0
