"""Workers that stand still past their leases while others take over, and then go on as if nothing had been."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import sqlalchemy as sa

from shared.kit.db import Database
from shared.kit.tables import timers
from tests.faults.crashing import arm, disarm, frozen_at
from tests.faults.history import check
from tests.faults.workload import Workload
from tests.infrastructure.waiting import eventually
from tests.system.installation import Installation

TAKEN_OVER_SECONDS = 120.0

STANDING_STILL = {
    "worker-contracts-1": "after-acknowledgement",
    "worker-billing-1": "before-applying",
    "worker-notify-1": "mail-taken",
    "worker-backup-1": "restic-midway",
}
"""A relay whose batch is on the log, a consumer with a batch in hand, and two jobs whose third party is at work."""


async def stand_still_through_a_term(company: Installation, *, seed: int, customers: int) -> None:
    """Each of them stands still until others have taken over, and goes on; the history is checked."""
    with armed(company):
        async with Workload(company.url, seed=seed, customers=customers) as workload:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(workload.sign())
                # The last only gets there by the work of those who took over from the first two.
                await asyncio.gather(*[replaced_once_it_stands_still(company, name) for name in STANDING_STILL])
                await jobs_are_taken_over(company)
                for name in STANDING_STILL:
                    assert frozen_at(company.processes[name])
                    company.processes[name].thaw()
            await workload.open_windows()
        await check(company, workload.history)


@contextmanager
def armed(company: Installation) -> Iterator[None]:
    """Each of them is going to stand still; in the end all is as it was."""
    for name, seam in STANDING_STILL.items():
        company.processes[name].kill()
        arm(company.processes[name], f"{seam}=stop")
        company.processes[name].start()
    before = set(company.processes)
    try:
        yield
    finally:
        for name in STANDING_STILL:
            company.processes[name].thaw()
            disarm(company.processes[name])
        for name in set(company.processes) - before:
            company.processes.pop(name).stop()


async def replaced_once_it_stands_still(company: Installation, name: str) -> None:
    process = company.processes[name]

    async def stands_still() -> bool:
        return frozen_at(process) == STANDING_STILL[name]

    await eventually(stands_still, timeout=TAKEN_OVER_SECONDS, what=f"{name} to stand still")
    other = company.add_replica(name)
    disarm(other)
    other.start()


async def jobs_are_taken_over(company: Installation) -> None:
    """The leases of the jobs run out: the mail is sent again, and the backup is found to be made or still held."""
    async with opened(company, "notify") as notify, opened(company, "backup") as backup:
        for database in (notify, backup):
            async with database.transaction() as tx:
                await tx.execute(sa.update(timers).values(leased_until=None))

        async def mail_is_sent() -> bool:
            return await count(notify, timers.c.kind == "notice.send") == 0

        async def backup_is_made_or_waits() -> bool:
            return await count(backup, timers.c.kind == "run.perform", timers.c.last_error.is_(None)) == 0

        await eventually(mail_is_sent, timeout=TAKEN_OVER_SECONDS, what="another to send the mail")
        await eventually(backup_is_made_or_waits, timeout=TAKEN_OVER_SECONDS, what="another to take over the backup")


@asynccontextmanager
async def opened(company: Installation, service: str) -> AsyncIterator[Database]:
    database = Database(company.databases[service], pool_size=1)
    yield database
    await database.close()


async def count(database: Database, *where: sa.ColumnElement[bool]) -> int:
    async with database.reading() as reader:
        number: int = await reader.scalar(sa.select(sa.func.count()).select_from(timers).where(*where))
        return number
