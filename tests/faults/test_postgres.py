"""PostgreSQL is frozen, restarted or cuts its lines: callers get a 503 in time, and everything resumes by itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from shared.kit.auth import Role
from shared.kit.db import READY_SECONDS, Database
from shared.kit.on_postgresql import COMMAND_TIMEOUT_SECONDS, POOL_CHECKOUT_SECONDS
from shared.kit.routing import REQUEST_SECONDS
from tests.faults import history
from tests.faults.stopping import STOPS_WITHIN_SECONDS, stopping
from tests.faults.workload import History, Workload
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.waiting import Found, eventually
from tests.kit.support import fresh_postgres_database, parcels, running_parcels
from tests.support.service import ServiceUnderTest
from tests.system import installation
from tests.system.installation import Installation

POOL = 3
AT_ONCE = 12
FROZEN_SECONDS = COMMAND_TIMEOUT_SECONDS + 3.0
"""Longer than every timeout on the way; a minute in the soak."""
SLACK_SECONDS = 4.0
"""For a loaded machine; a hang would be the driver's own minute, or for ever."""

CUT_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres' AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def service(postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    """The throw-away service with every line of its pool open."""
    with fresh_postgres_database(postgres_server) as url:
        async with running_parcels(url, tmp_path, pool_size=POOL) as running:
            client = running.as_role(Role.SUPPORT)
            await asyncio.gather(*(client.get("/v1/parcels") for _ in range(2 * POOL)))
            yield running


async def test_while_it_is_frozen_every_kind_of_route_is_answered_503_within_the_deadline_and_stores_nothing(
    service: ServiceUnderTest, postgres_server: PostgresServer
) -> None:
    client = service.as_role(Role.SUPPORT)
    key = {"idempotency-key": "frozen"}
    postgres_server.freeze()
    try:
        routes = [
            client.get("/v1/parcels"),
            client.post("/v1/parcels", json={"label": "frozen"}, headers=key),
            client.put(f"/v1/parcels/{'0' * 32}", json={"label": "put"}),
            client.post("/v1/parcels/upload", data={"label": "sent"}, files={"file": b"content"}),
        ]
        answers, alive, ready = await asyncio.gather(
            asyncio.gather(*map(_timed, [*routes, *_posts(client, AT_ONCE)])),
            _timed(client.get("/livez")),
            _timed(client.get("/readyz")),
        )
        # By now no line is left: another one can only be asked for in vain.
        answers += [await _timed(client.get("/v1/parcels"))]
    finally:
        postgres_server.thaw()
    longest = max(seconds for _, seconds in answers)
    print(f"longest answer while frozen: {longest:.1f} s")
    assert longest < REQUEST_SECONDS + SLACK_SECONDS
    assert {answer.status_code for answer, _ in answers} == {503}
    assert all("retry-after" in answer.headers for answer, _ in answers)
    assert (alive[0].status_code, ready[0].status_code) == (200, 503)
    assert max(alive[1], ready[1]) < READY_SECONDS + SLACK_SECONDS
    assert (await client.post("/v1/parcels", json={"label": "frozen"}, headers=key)).status_code == 201
    assert (await client.get("/readyz")).status_code == 200
    assert await _labels(service) == {"frozen": 1}


@pytest.mark.parametrize("trouble", ["cut", "restart"])
async def test_whoever_is_cut_off_in_the_middle_repeats_the_request_and_finds_it_done_once(
    service: ServiceUnderTest, postgres_server: PostgresServer, trouble: str
) -> None:
    client, refused = service.as_role(Role.SUPPORT), Counter[str]()
    over = asyncio.Event()

    async def send_many(sender: int) -> list[str]:
        sent: list[str] = []
        while not over.is_set() or not sent:
            sent.append(f"{sender}-{len(sent)}")
            await _insist(client, sent[-1], refused)
        return sent

    async def make_trouble() -> None:
        for _ in range(1 if trouble == "restart" else 10):
            if trouble == "restart":
                await asyncio.to_thread(postgres_server.restart)
            else:
                await asyncio.to_thread(postgres_server.administer, CUT_ALL)
        over.set()

    sending = asyncio.gather(*map(send_many, range(6)))
    await make_trouble()
    labels = [label for sent in await sending for label in sent]
    assert sum(refused.values()), "nobody was cut off"
    assert await _labels(service) == Counter(labels)
    assert await _open_transactions(service) == 0


async def test_a_pool_that_is_exhausted_is_said_within_two_seconds(service: ServiceUnderTest) -> None:
    client, database = service.as_role(Role.SUPPORT), service.runtime.database
    let_go, holders = asyncio.Event(), asyncio.Barrier(POOL + 1)

    async def hold() -> None:
        async with database.transaction():
            await holders.wait()
            await let_go.wait()

    held = [asyncio.create_task(hold()) for _ in range(POOL)]
    await holders.wait()
    try:
        answers = await asyncio.gather(*map(_timed, [client.get("/v1/parcels"), *_posts(client, 2)]))
    finally:
        let_go.set()
        await asyncio.gather(*held)
    assert {answer.status_code for answer, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < POOL_CHECKOUT_SECONDS + SLACK_SECONDS / 2
    assert (await client.get("/v1/parcels")).status_code == 200


async def test_callers_who_give_up_leave_no_broken_line_in_the_pool(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT)
    for turn in range(20):
        tasks = [asyncio.ensure_future(request) for request in _posts(client, POOL)]
        for _ in range(turn):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    answers = await asyncio.gather(*_posts(client, 2 * POOL, prefix="after"))
    assert {answer.status_code for answer in answers} == {201}
    assert await _open_transactions(service) == 0


async def test_a_request_that_takes_too_long_is_given_up_and_its_line_is_usable_again(
    service: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kit.routing.REQUEST_SECONDS", 0.2)
    client = service.as_role(Role.SUPPORT)
    async with service.runtime.database.transaction() as tx:
        await tx.execute(sa.text("LOCK TABLE parcels"))
        answers = await asyncio.gather(*map(_timed, _posts(client, POOL - 1)))
    assert {(answer.status_code, answer.json()["code"]) for answer, _ in answers} == {(503, "TookTooLong")}
    assert max(seconds for _, seconds in answers) < SLACK_SECONDS
    monkeypatch.undo()
    assert await _labels(service) == {}
    assert {answer.status_code for answer in await asyncio.gather(*_posts(client, 2 * POOL))} == {201}


async def test_the_service_closes_in_time_while_it_is_frozen(
    postgres_server: PostgresServer, service: ServiceUnderTest
) -> None:
    other = Database(service.runtime.database.url.render_as_string(hide_password=False), pool_size=10)
    await asyncio.gather(*(other.real_now() for _ in range(10)))
    postgres_server.freeze()
    try:
        _, seconds = await _timed(other.close())
    finally:
        postgres_server.thaw()
    assert seconds < SLACK_SECONDS


@pytest.fixture(scope="module")
def company(postgres_server: PostgresServer) -> Iterator[Installation]:
    with installation.split(postgres_server, kafka=None, replicas=1, name="postgres_away") as started:
        yield started


@pytest.fixture(scope="module")
def histories() -> list[History]:
    """What all customers so far were answered: the checker looks at the whole installation."""
    return []


@pytest.mark.parametrize("trouble", ["cut and restart", "freeze"])
async def test_customers_sign_through_it_and_no_process_has_to_be_started_again(
    company: Installation, postgres_server: PostgresServer, histories: list[History], trouble: str
) -> None:
    await sign_through(company, postgres_server, histories, trouble)


async def test_an_api_and_a_worker_stop_within_ten_seconds_while_it_is_frozen(
    company: Installation, postgres_server: PostgresServer
) -> None:
    postgres_server.freeze()
    try:
        seconds = await stopping(company, "api-contracts", "worker-contracts-1")
    finally:
        postgres_server.thaw()
    assert max(seconds.values()) < STOPS_WITHIN_SECONDS, seconds


async def sign_through(
    company: Installation,
    server: PostgresServer,
    histories: list[History],
    trouble: str,
    *,
    frozen_seconds: float = FROZEN_SECONDS,
) -> None:
    """Customers sign while that happens; they are told 503 in time, and the whole history holds afterwards."""
    refused: list[httpx.Response] = []

    async def keep_refusals(answer: httpx.Response) -> None:
        if answer.status_code >= 500:
            await answer.aread()
            refused.append(answer)

    async with Workload(company.url, seed=len(histories) + 1, customers=2, patience=90 + frozen_seconds) as workload:
        histories.append(workload.history)
        workload.deployment.http.event_hooks["response"].append(keep_refusals)
        signing = asyncio.create_task(workload.sign())
        await eventually(lambda: _true(bool(workload.history.answers)), what="a first answer")
        if trouble == "cut and restart":
            await asyncio.to_thread(server.administer, CUT_ALL)
            await eventually(lambda: _true(len(workload.history.answers) > 6), what="answers after the cut")
            await asyncio.to_thread(server.restart)
        else:
            await _freeze(server, frozen_seconds)
        await signing
    for process in company.processes.values():
        process.insist_on_running()
    assert {answer.status_code for answer in refused} <= {503}, {answer.text for answer in refused}
    assert all("retry-after" in answer.headers for answer in refused)
    longest = max((answer.elapsed.total_seconds() for answer in refused), default=0.0)
    print(f"{trouble}: {len(refused)} answers of 503, the longest after {longest:.1f} s")
    assert longest < REQUEST_SECONDS + SLACK_SECONDS
    await history.check(company, *histories)


async def _freeze(server: PostgresServer, seconds: float) -> None:
    over = time.monotonic() + seconds
    server.freeze()
    try:
        await eventually(lambda: _true(time.monotonic() > over), timeout=seconds + 30, what="the end of the freeze")
    finally:
        server.thaw()


async def _true(value: bool) -> bool:
    return value


def _posts(client: httpx.AsyncClient, count: int, *, prefix: str = "post") -> list[Awaitable[httpx.Response]]:
    return [client.post("/v1/parcels", json={"label": f"{prefix} {number}"}) for number in range(count)]


async def _timed(work: Awaitable[Found]) -> tuple[Found, float]:
    started = time.monotonic()
    return await work, time.monotonic() - started


async def _insist(client: httpx.AsyncClient, label: str, refused: Counter[str]) -> None:
    """Send with one key until it is accepted; every refusal on the way says when to try again."""

    async def accepted() -> bool:
        answer = await client.post("/v1/parcels", json={"label": label}, headers={"idempotency-key": label})
        if answer.status_code != 201:
            assert answer.status_code == 503, answer.text
            assert "retry-after" in answer.headers
            refused[answer.json()["code"]] += 1
        return answer.status_code == 201

    await eventually(accepted, what=f"{label} to be accepted")


async def _labels(service: ServiceUnderTest) -> Counter[str]:
    async with service.runtime.database.reading() as reader:
        return Counter(row.label for row in await reader.rows(sa.select(parcels.c.label)))


async def _open_transactions(service: ServiceUnderTest) -> int:
    mine = "datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
    count: int = await service.scalar(sa.text(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}"))
    return count
