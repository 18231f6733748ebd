"""What is due among a million contracts: finding it, and ending the services whose time has come."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import asyncpg

from services.contracts.schedule import timers as contract_timers
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime
from shared.kit.schedule import GroupHandler, Timer, Timers
from shared.kit.timer_runner import TimerRunner
from tests.performance.contracts_at_work import corrupt, fill, make_due
from tests.performance.figures import Aim, Figure, paired, ratio
from tests.performance.rows import row
from tests.performance.stage import Stage
from tests.performance.statements import Said, say_again, taken_down

DUE = 300
FULL_SCAN = "SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_indexonlyscan = off"


@row("due")
async def due(stage: Stage) -> AsyncIterator[Figure]:
    """The statement that claims due timers of a million contracts, as a generic plan; floor: a full scan."""
    url = await _filled(stage)
    await make_due(url, DUE)
    async with stage.runtime("contracts", url) as runtime:
        with taken_down() as said:
            await TimerRunner(runtime, contract_timers).run_due()
    claim = next(one for one in said if "UPDATE timers" in one.query and "due_at" in one.query)
    await make_due(url, DUE)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        pairs = await paired(
            lambda: _explained(connection, claim), lambda: _explained(connection, claim, FULL_SCAN), pairs=stage.pairs
        )
    finally:
        await connection.close()
    yield ratio("full scan / due query at 1M contracts", pairs, "ms", inverse=True, aim=Aim(100, 200))


@row("sweep")
async def sweep(stage: Stage) -> AsyncIterator[Figure]:
    """Ending the due among a million contracts in sets; floor: one after another, by raw asyncpg in equal batches."""
    url = await _filled(stage)
    total = _total(stage)
    async with stage.runtime("contracts", url) as runtime:
        yield await _sweep(f"raw SQL / sweep, {DUE} due of {total:,}", runtime, url, DUE, pairs=3 if stage.quick else 6)
        before = await _several(runtime, url)
        many = 1_000 if stage.quick else 10_000
        yield await _sweep(f"raw SQL / sweep, {many:,} due of {total:,}", runtime, url, many, pairs=1)
        await fill(url, first=total, last=2 * total)
        after = await _several(runtime, url)
        parts = {"before ms": before * 1e3, "after ms": after * 1e3}
        name = f"sweep of {DUE} with {2 * total:,} / {total:,} contracts"
        yield Figure(name=name, value=after / before, aim=Aim(1.1, 1.0, at_most=True), parts=parts)


@row("minute")
async def minute(stage: Stage) -> AsyncIterator[Figure]:
    """What ends in one minute among a million contracts, one of them corrupt; floor: the same without the corrupt."""
    url = await _filled(stage)
    many = 1_000 if stage.quick else 10_000
    async with stage.runtime("contracts", url) as runtime:

        async def ended(*, spoiled: bool) -> Mapping[str, float]:
            await make_due(url, many)
            lost = await corrupt(url, many // 3) if spoiled else None
            before = runtime.database.transactions
            seconds = await _timed(lambda: _run_out(runtime))
            transactions = runtime.database.transactions - before
            await _insist_on_all_but(url, many, lost)
            return {"s": seconds, "transactions": transactions}

        pairs = await paired(lambda: ended(spoiled=True), lambda: ended(spoiled=False), pairs=2 if stage.quick else 3)
        aim = Aim(1.2, 1.05, at_most=True)
        yield ratio(f"one corrupt / none, {many:,} due in a minute of {_total(stage):,}", pairs, "s", aim=aim)


async def _insist_on_all_but(url: str, many: int, lost: str | None) -> None:
    """All but that contract have ended, and it waits with its reason."""
    connection = await asyncpg.connect(url)
    try:
        ended = await connection.fetchval("SELECT count(*) FROM contracts WHERE status = 'expired'")
        failed = await connection.fetch("SELECT subject_id::text, last_error FROM timers WHERE last_error IS NOT NULL")
    finally:
        await connection.close()
    assert ended == many - (lost is not None)
    assert [one["subject_id"] for one in failed] == ([lost] if lost else [])
    assert all("PeriodMissing" in one["last_error"] for one in failed)


def _total(stage: Stage) -> int:
    return 200_000 if stage.quick else 1_000_000


async def _filled(stage: Stage) -> str:
    """The URL of a contracts database with all its contracts, filled once per run."""
    if not stage.has_database("bench_million"):
        url = stage.database("bench_million")
        async with stage.runtime("contracts", url):
            await fill(url, first=0, last=_total(stage))
    return stage.postgres.url_for("bench_million")


async def _explained(connection: asyncpg.Connection, claim: Said, settings: str = "SELECT 1") -> Mapping[str, float]:
    """How long the statement takes, planned or not, in a transaction that is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(settings)
        prepared = await connection.prepare(claim.query)
        began = time.perf_counter()
        await prepared.fetch(*claim.arguments)
        return {"ms": (time.perf_counter() - began) * 1e3}
    finally:
        await transaction.rollback()


async def _several(runtime: Runtime, url: str) -> float:
    """The median seconds of a few sweeps."""
    seconds = []
    for _ in range(5):
        await make_due(url, DUE)
        seconds.append(await _timed(lambda: _run_out(runtime)))
    return statistics.median(seconds)


async def _sweep(name: str, runtime: Runtime, url: str, count: int, *, pairs: int) -> Figure:
    connection = await asyncpg.connect(url)
    await make_due(url, count)
    with taken_down() as said:
        await _run_out(runtime, _one_after_another(contract_timers))

    async def measured(work: Callable[[], Awaitable[None]]) -> Mapping[str, float]:
        await make_due(url, count)
        seconds = await _timed(work)
        assert await connection.fetchval("SELECT count(*) FROM contracts WHERE status = 'expired'") == count
        return {"ms each": seconds / count * 1e3}

    try:
        found = await paired(
            lambda: measured(lambda: _run_out(runtime)),
            lambda: measured(lambda: say_again(connection, said)),
            pairs=pairs,
        )
    finally:
        await connection.close()
    # Half of the speed of the floor at least: twice its time at most.
    figure = ratio(name, found, "ms each", inverse=True, aim=Aim(0.5, 0.8))
    return replace(figure, parts={**figure.parts, "raw statements each": len(said) / count})


def _one_after_another(table: Timers) -> Timers:
    """Handlers that are given one timer at a time, though the batch shares its transaction."""
    single = Timers()
    for kind, handler in table.handlers.items():

        async def each(tx: Transaction, due: Sequence[Timer], handler: GroupHandler = handler) -> None:
            for timer in due:
                await handler(tx, [timer])

        single.handlers[kind] = each
    return single


async def _run_out(runtime: Runtime, table: Timers = contract_timers) -> None:
    runner = TimerRunner(runtime, table)
    while await runner.run_due():
        continue


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began
