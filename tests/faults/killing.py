"""Kills processes while a workload runs, at named seams and at any moment, and starts them again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from shared.kit.bus.tables import log_leases, log_members, relay_members, relay_shards
from shared.kit.db import Database
from shared.kit.tables import timers
from tests.faults.crashing import arm, died_at, disarm
from tests.faults.history import check
from tests.faults.workload import COMMANDS_OF_A_CUSTOMER, History, Workload
from tests.infrastructure.process import ServerDied, ServerProcess
from tests.infrastructure.waiting import eventually
from tests.simulation.agenda import Dice
from tests.system.installation import SERVICES, Installation

DEATH_SECONDS = 120.0


@dataclass
class Killer:
    """By process: the seams at which it dies (`NAME` or `NAME:nth`), and after how many answers it is killed."""

    company: Installation
    history: History
    at_seams: Mapping[str, Sequence[str]] = field(default_factory=dict)
    at_answers: Mapping[str, Sequence[int]] = field(default_factory=dict)
    leases_run_out: bool = True
    """True: a dead process's leases end with it, so that nobody waits for them in real time."""
    deaths: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def run(self) -> None:
        """Until every process has died as often as it was told to; raises TimeoutError with what was never passed."""
        async with asyncio.TaskGroup() as tasks:
            for name, seams in self.at_seams.items():
                tasks.create_task(self._kill_at_seams(name, list(seams)))
            for name, moments in self.at_answers.items():
                tasks.create_task(self._kill_at_moments(name, sorted(moments)))

    async def _kill_at_seams(self, name: str, left: list[str]) -> None:
        """All that are left are armed: the process dies at the first that it passes, and goes on with the others."""
        process = self.company.processes[name]
        process.kill()
        while left:
            arm(process, *left)
            await self._start(process)
            await self._until_dead(process, left)
            seam = died_at(process)
            met = [armed for armed in left if armed.partition(":")[0] == seam]
            if not met:
                raise ServerDied(f"{name} ended with {process.ended_with}, not at {left}:\n{self.company.logs()}")
            left.remove(met[0])
            self._note(name, met[0])
        disarm(process)
        await self._start(process)

    async def _kill_at_moments(self, name: str, moments: Sequence[int]) -> None:
        process = self.company.processes[name]
        for moment in moments:

            async def has_come(moment: int = moment) -> bool:
                return len(self.history.answers) >= moment

            await eventually(has_come, timeout=DEATH_SECONDS, what=f"answer {moment}")
            await asyncio.to_thread(process.kill)
            self._note(name, f"answer {moment}")
            await self._start(process)

    def _note(self, name: str, place: str) -> None:
        self.deaths[name].append(place)
        print(f"{datetime.now(UTC):%H:%M:%S} {name} died at {place}, {len(self.history.answers)} answers", flush=True)

    async def _until_dead(self, process: ServerProcess, left: Sequence[str]) -> None:
        async def dead() -> bool:
            return process.ended_with is not None

        await eventually(dead, timeout=DEATH_SECONDS, what=f"the death of {process.name} at one of {list(left)}")

    async def _start(self, process: ServerProcess) -> None:
        for service in SERVICES if self.leases_run_out else ():
            if process.name == "embedded" or process.name.startswith(f"worker-{service}-"):
                await end_leases(self.company, service)
        process.start()


async def end_leases(company: Installation, service: str) -> None:
    """All leases of the service's workers run out now, as they do by themselves some seconds after a death."""
    own = Database(company.databases[service], pool_size=1)
    try:
        async with own.transaction() as tx:
            await tx.execute(sa.delete(relay_members))
            await tx.execute(sa.update(relay_shards).values(owner=None, leased_until=None))
            await tx.execute(sa.update(timers).values(leased_until=None))
    finally:
        await own.close()
    if "log" not in company.databases:
        return
    log = Database(company.databases["log"], pool_size=1)
    try:
        async with log.transaction() as tx:
            await tx.execute(sa.delete(log_members).where(log_members.c.consumer == service))
            mine = sa.update(log_leases).where(log_leases.c.consumer == service)
            await tx.execute(mine.values(owner=None, leased_until=None))
    finally:
        await log.close()


async def kill_through_a_term(
    company: Installation,
    at_seams: Mapping[str, Sequence[str]],
    *,
    seed: int,
    customers: int,
    leases_run_out: bool = True,
) -> Killer:
    """A workload with deaths, and its history checked. Who dies at no seam dies at a moment that the seed chooses."""
    dice = Dice(seed, "moments")
    at_answers = {
        name: [dice.random.randrange(customers * COMMANDS_OF_A_CUSTOMER)]
        for name in company.processes
        if name not in at_seams
    }
    async with Workload(company.url, seed=seed, customers=customers) as workload:
        killer = Killer(company, workload.history, at_seams, at_answers, leases_run_out)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(workload.run())
            tasks.create_task(killer.run())
    await check(company, workload.history)
    return killer
