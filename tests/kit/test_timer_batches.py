"""Timers that are due share a transaction, and none of them notices."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.events.contracts import ServiceHeld
from shared.kernel.ids import new_id
from shared.kit import audit_trail, timer_runner
from shared.kit.db import Transaction
from shared.kit.schedule import Timer, Timers, acting_for, cancel_timer, set_timer
from shared.kit.tables import audit_rows, timers
from shared.kit.timer_runner import TimerRunner
from tests.kit.support import count, parcels, running_parcels
from tests.support.service import ServiceUnderTest

MINUTE = timedelta(minutes=1)
DUE = timer_runner.BATCH_ON_SQLITE


@pytest.fixture
def table() -> Timers:
    return Timers()


@pytest.fixture
async def service(database_url: str, tmp_path: Path, table: Timers) -> AsyncIterator[ServiceUnderTest]:
    async with running_parcels(database_url, tmp_path, timers=table, clock="virtual") as running:
        yield running


async def set_due(
    service: ServiceUnderTest, how_many: int, *, kind: str = "note", ago: timedelta = MINUTE, **payload: Any
) -> list[UUID]:
    """Timers numbered in the order they are due, each set by a command of its own correlation id."""
    subjects = [new_id() for _ in range(how_many)]
    async with service.runtime.database.transaction() as tx:
        for number, subject in enumerate(subjects):
            tx.correlation_id = f"command {number}"
            due_at = tx.now - ago + timedelta(milliseconds=number)
            await set_timer(tx, kind, subject, due_at, {"number": number, **payload})
    return subjects


async def labels(service: ServiceUnderTest) -> list[str]:
    async with service.runtime.database.reading() as reader:
        return sorted(row.label for row in await reader.rows(sa.select(parcels.c.label)))


async def leave(tx: Transaction, timer: Timer) -> None:
    await tx.insert(parcels, {"id": new_id(), "label": f"{timer.kind} {timer.payload['number']:02}"})


def notes(numbers: Sequence[int]) -> list[str]:
    return [f"note {number:02}" for number in numbers]


async def test_what_is_due_is_done_in_one_transaction(service: ServiceUnderTest, table: Timers) -> None:
    table.when("note")(leave)
    await set_due(service, DUE)
    runner, before = TimerRunner(service.runtime, table), service.runtime.database.transactions
    assert await runner.run_due()
    assert service.runtime.database.transactions == before + 2, "one to claim them, one to do them"
    assert await labels(service) == notes(range(DUE))
    assert await count(service, timers) == 0


async def test_a_timer_that_fails_keeps_none_of_the_others_from_being_done_once(
    service: ServiceUnderTest, table: Timers
) -> None:
    @table.when("note")
    async def note(tx: Transaction, timer: Timer) -> None:
        await leave(tx, timer)
        if timer.payload["number"] == 7:
            raise ValueError("the row is corrupt")

    await set_due(service, DUE)
    await TimerRunner(service.runtime, table).run_due()
    assert await labels(service) == notes([number for number in range(DUE) if number != 7])
    async with service.runtime.database.reading() as reader:
        [left] = await reader.rows(sa.select(timers))
    assert (left.payload["number"], left.last_error) == (7, "ValueError: the row is corrupt")


async def test_what_fails_is_found_by_halving_its_batch(service: ServiceUnderTest, table: Timers) -> None:
    @table.when("note")
    async def note(tx: Transaction, timer: Timer) -> None:
        await leave(tx, timer)
        if timer.payload["number"] == 3:
            raise ValueError("the row is corrupt")

    await set_due(service, 16)
    runner, before = TimerRunner(service.runtime, table), service.runtime.database.transactions
    await runner.run_due()
    # Claimed; 16, 8, 4, 2, 1, 1 and their other halves; put back.
    assert service.runtime.database.transactions == before + 1 + 9 + 1
    assert await labels(service) == notes([number for number in range(16) if number != 3])


async def test_each_timer_of_a_batch_announces_and_records_under_its_own_name(
    service: ServiceUnderTest, table: Timers
) -> None:
    async def announce(tx: Transaction, timer: Timer) -> None:
        held = ServiceHeld(
            customer_id=new_id(),
            contract_id=timer.subject_id,
            agreement_version="1",
            period_index=1,
            ends_at=tx.now,
            payment_id=new_id(),
        )
        tx.publish(held)
        audit_trail.record(tx, None, "hold", timer.subject_id)

    table.when("single")(announce)

    @table.when_some("grouped")
    async def grouped(tx: Transaction, due: Sequence[Timer]) -> None:
        groups.append(len(due))
        for timer in due:
            with acting_for(tx, timer):
                await announce(tx, timer)

    groups: list[int] = []
    expected = {}
    for kind, ago in (("single", 2 * MINUTE), ("grouped", MINUTE)):
        for number, subject in enumerate(await set_due(service, 3, kind=kind, ago=ago)):
            expected[str(subject)] = (f"command {number}", f"timer:{kind}")
    await TimerRunner(service.runtime, table).run_due()
    assert groups == [3]
    assert {envelope.subject: envelope.correlationid for envelope in await service.envelopes()} == {
        subject: correlation for subject, (correlation, _actor) in expected.items()
    }
    async with service.runtime.database.reading() as reader:
        recorded = [row.event for row in await reader.rows(sa.select(audit_rows.c.event))]
    assert {event["subject_id"]: (event["correlation_id"], event["by"]) for event in recorded} == expected


@pytest.mark.parametrize("change", ["cancelled", "moved"])
async def test_a_timer_that_an_earlier_one_of_its_batch_has_changed_is_not_done(
    service: ServiceUnderTest, table: Timers, change: str
) -> None:
    @table.when("note")
    async def note(tx: Transaction, timer: Timer) -> None:
        await leave(tx, timer)
        if timer.payload["number"] == 0 and change == "cancelled":
            await cancel_timer(tx, "note", subjects[1])
        elif timer.payload["number"] == 0:
            await set_timer(tx, "note", subjects[1], tx.now + MINUTE, {"number": 11})

    subjects = await set_due(service, 3)
    runner = TimerRunner(service.runtime, table)
    await runner.run_due()
    assert await labels(service) == notes([0, 2])
    await service.advance(by=2 * MINUTE)
    assert await labels(service) == notes([0, 2] if change == "cancelled" else [0, 2, 11])
    assert await count(service, timers) == 0


async def test_a_zombie_with_a_batch_does_only_what_nobody_has_taken_over(
    service: ServiceUnderTest, table: Timers
) -> None:
    table.when("note")(leave)
    await set_due(service, 3)
    zombie, other = TimerRunner(service.runtime, table), TimerRunner(service.runtime, table)
    held = await zombie._claim()
    async with service.runtime.database.transaction() as tx:
        long_ago = await service.runtime.database.real_now() - MINUTE
        lapsed = timers.c.id.in_([held[1].id, held[2].id])
        await tx.execute(sa.update(timers).where(lapsed).values(leased_until=long_ago))
    done, still_held = await other._claim()
    await other._run_batch([done])
    await zombie._run_batch(held)
    assert await labels(service) == notes([0, 1])
    await other._run_batch([still_held])
    assert await labels(service) == notes([0, 1, 2])
    assert await count(service, timers) == 0


async def test_a_zombie_does_not_repeat_a_timer_that_sets_itself_again(
    service: ServiceUnderTest, table: Timers
) -> None:
    @table.when("note")
    async def note(tx: Transaction, timer: Timer) -> None:
        await leave(tx, timer)
        await set_timer(tx, "note", timer.subject_id, timer.due_at + 60 * MINUTE, timer.payload)

    await set_due(service, 1)
    zombie, other = TimerRunner(service.runtime, table), TimerRunner(service.runtime, table)
    held = await zombie._claim()
    async with service.runtime.database.transaction() as tx:
        await tx.execute(sa.update(timers).values(leased_until=await service.runtime.database.real_now() - MINUTE))
    assert await other.run_due()
    await zombie._run_batch(held)
    assert await labels(service) == notes([0])
