"""Replicas whose machines are 90 s ahead and 90 s behind decide alike, because the database's time rules."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services.contracts import app, consumers, opening, schedule
from services.contracts.settings import ContractsSettings
from services.contracts.use_cases.happenings import PERIOD_ENDS, WINDOW_OPENS
from shared.kernel.ids import new_id
from shared.kit import virtual_clock
from shared.kit.bus.leases import LEASE_SECONDS
from shared.kit.bus.tables import relay_members, relay_shards
from shared.kit.runtime import embedded_authenticator
from shared.kit.settings import CommonSettings
from shared.kit.tables import timers
from tests.contracts.story import END, HOUR, OPENS, START, Story
from tests.infrastructure import faketime, requirements
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.process import ServerProcess, free_port
from tests.infrastructure.waiting import eventually
from tests.support.service import ServiceUnderTest, service_under_test
from tests.system.installation import ROOT

WRONG_BY_SECONDS = {"ahead": 90, "behind": -90}
CONTRACTS = 4
SHORTLY = timedelta(seconds=6)
AT_MOST = timedelta(seconds=0.5)
"""How far a replica's time may be from the database's. Half a round trip is milliseconds; the machine is loaded."""


@dataclass
class Replicas:
    """Two APIs and two workers of contracts with wrong clocks, and the same service here, whose clock is right."""

    here: ServiceUnderTest
    stories: list[Story] = field(default_factory=list)
    apis: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    workers: dict[str, ServerProcess] = field(default_factory=dict)

    async def move_clock(self, to: datetime) -> None:
        async with self.here.runtime.database.transaction() as tx:
            await virtual_clock.advance(tx, to)

    async def until(self, instant: datetime) -> None:
        async def reached() -> bool:
            return await self.here.now() >= instant

        await eventually(reached, what=f"{instant}")

    async def renew(self, which: str, story: Story) -> int:
        """The status of that replica's answer."""
        headers = {"authorization": story.http.headers["authorization"], "idempotency-key": str(new_id())}
        path = f"/contracts/v1/contracts/{story.contract}/renew"
        answer = await self.apis[which].post(path, json=await story.offered(), headers=headers)
        assert answer.status_code in {200, 409}, answer.text
        return answer.status_code

    async def waiting(self, kind: str) -> int:
        """Timers of that kind which nobody has run yet."""
        count: int = await self.here.scalar(sa.select(sa.func.count()).where(timers.c.kind == kind))
        return count

    async def offset_of(self, which: str) -> timedelta:
        """How far that replica's time is from the right one, as little as the answers tell."""
        before = await self.here.now()
        seen = datetime.fromisoformat((await self.apis[which].get("/contracts/v1/clock")).json()["now"])
        after = await self.here.now()
        return max(before - seen, seen - after, timedelta())


@pytest.fixture(scope="module")
async def replicas(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replicas]:
    folder, port = tmp_path_factory.mktemp("clocks"), free_port()
    names = [f"clocks_{new_id().hex}_{part}" for part in ("contracts", "log")]
    for name in names:
        postgres_server.create_database(name)
    database, log = map(postgres_server.url_for, names)
    common = CommonSettings(data_dir=folder, clock="virtual", port=port, log_level="error")
    settings = ContractsSettings(database_url=SecretStr(database))
    environment = {
        "PYTHONPATH": str(ROOT),
        "MAINSTAY_DATA_DIR": str(folder),
        "MAINSTAY_CLOCK": "virtual",
        "MAINSTAY_PORT": str(port),
        "MAINSTAY_MAILBOX_PORT": str(free_port()),
        "MAINSTAY_CONTRACTS_DATABASE_URL": database,
        "MAINSTAY_EVENT_LOG_URL": log,
    }

    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            service_under_test(
                lambda: opening.open_runtime(common, settings=settings, authenticator=embedded_authenticator(common)),
                app.create_app,
                consumers.handlers,
                schedule.timers,
            )
        )
        made = Replicas(service, await _active_contracts(service))

        def run(name: str, *arguments: str, **clock: str) -> ServerProcess:
            (folder / name).mkdir()
            command = [sys.executable, "-m", "deploy.cli", *arguments]
            process = ServerProcess(name, command, folder / name, environment=environment | clock)
            process.start()
            stack.callback(process.kill)
            return process

        # The issuer of the callers' tokens; it has the right time.
        run("front", "front")
        with requirements.or_do_without("faketime"):
            clocks = {which: faketime.wrong_by(seconds) for which, seconds in WRONG_BY_SECONDS.items()}
        for which, clock in clocks.items():
            own = free_port()
            run(f"api-{which}", "api", "contracts", "--port", str(own), **clock)
            made.workers[which] = run(f"worker-{which}", "worker", "contracts", **clock)
            client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{own}", timeout=20)
            made.apis[which] = await stack.enter_async_context(client)
        for client in made.apis.values():
            await eventually(partial(_answers, client), timeout=90, what="a replica that is ready")
        yield made
    for name in names:
        postgres_server.drop_database(name)


async def test_both_have_the_time_of_the_database(replicas: Replicas) -> None:
    offsets = {which: await replicas.offset_of(which) for which in WRONG_BY_SECONDS}
    print("time of the replicas is off by", {which: str(offset) for which, offset in offsets.items()})
    assert max(offsets.values()) < AT_MOST


async def test_both_keep_their_leases_and_neither_takes_the_others(replicas: Replicas) -> None:
    database = replicas.here.runtime.database

    async def owners() -> dict[int, object]:
        async with database.reading() as reader:
            rows = await reader.rows(sa.select(relay_shards.c.shard, relay_shards.c.owner))
        return {row.shard: row.owner for row in rows if row.owner}

    async def shared() -> bool:
        return len(set((await owners()).values())) == 2 and len(await owners()) == 16

    await eventually(shared, what="shards that two relays share")
    before, now = await owners(), await database.real_now()
    await replicas.until(await replicas.here.now() + timedelta(seconds=LEASE_SECONDS + 1))
    assert await owners() == before
    async with database.reading() as reader:
        rows = await reader.rows(sa.select(relay_shards.c.leased_until.label("until")))
        rows = [*rows, *await reader.rows(sa.select(relay_members.c.seen_until.label("until")))]
    longest = await database.real_now() + timedelta(seconds=LEASE_SECONDS) + AT_MOST
    assert all(now < row.until < longest for row in rows)


async def test_the_window_opens_on_time_and_not_when_a_machine_thinks_so(replicas: Replicas) -> None:
    await replicas.move_clock(OPENS - SHORTLY)
    while await replicas.here.now() < OPENS - AT_MOST:
        assert await replicas.waiting(WINDOW_OPENS) == CONTRACTS
    await eventually(lambda: _are(replicas, WINDOW_OPENS, 0), what="windows that open")


async def test_at_the_end_both_accept_a_renewal_before_it_and_refuse_one_after_it(replicas: Replicas) -> None:
    for worker in replicas.workers.values():
        worker.freeze()
    try:
        await replicas.move_clock(END - SHORTLY)
        stories = iter(replicas.stories)
        before = [await replicas.renew(which, next(stories)) for which in WRONG_BY_SECONDS]
        assert await replicas.here.now() < END, "the machine is too slow for this test"
        await replicas.until(END + AT_MOST)
        # Nobody has expired anything yet: the replicas' own time decides.
        after = [await replicas.renew(which, next(stories)) for which in WRONG_BY_SECONDS]
    finally:
        for worker in replicas.workers.values():
            worker.thaw()
    assert (before, after) == ([200, 200], [409, 409])
    await eventually(lambda: _are(replicas, PERIOD_ENDS, 0), what="periods that end")


async def _active_contracts(service: ServiceUnderTest) -> list[Story]:
    """Paid and running from START; their callers' tokens are old enough for a replica that is behind."""
    with pytest.MonkeyPatch.context() as patch:
        right = time.time
        patch.setattr("shared.kit.auth.time.time", lambda: right() - 120)
        stories = [Story(service) for _ in range(CONTRACTS)]
    for story in stories:
        await story.accepted()
    await service.advance(to=START)
    for story in stories:
        await story.pays(1, reported_at=START - HOUR, audited_at=START)
    return stories


async def _are(replicas: Replicas, kind: str, count: int) -> bool:
    return await replicas.waiting(kind) == count


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False
