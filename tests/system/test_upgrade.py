"""Every process goes from this release to the next, one by one, under traffic that never tries anything twice."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from shared.kit.db import Database
from shared.kit.version import VERSION
from tests.faults import history
from tests.faults.evidence import Evidence
from tests.faults.workload import History, Workload
from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.process import ServerProcess
from tests.infrastructure.waiting import eventually
from tests.system import installation
from tests.system.installation import ROOT, Installation
from tests.system.next_release import NEWS, NEXT, next_release

CUSTOMERS_AT_ONCE = 2
DRAIN_SECONDS = 0.5


@pytest.fixture
def company(
    postgres_server: PostgresServer, kafka_server: KafkaServer, restic_binary: object
) -> Iterator[Installation]:
    """Where upgrades matter most."""
    drain = str(DRAIN_SECONDS)
    with installation.split(
        postgres_server, kafka=kafka_server, replicas=1, name="upgrade", seats=2, MAINSTAY_DRAIN_SECONDS=drain
    ) as started:
        yield started


async def test_a_rolling_upgrade_fails_no_request_and_loses_no_event(company: Installation, tmp_path: Path) -> None:
    tree = next_release(tmp_path)
    async with traffic(company) as signing:
        await migrated(company, tree, "all")
        # Who tells what the others do not know goes first.
        await asyncio.gather(move(company, tree, "contracts"), go_back(company, "worker-billing-1"))
        await signing.one_more()
        too_early = migrated(company, tree, "billing", "--contract", code=1)
        refused, *_ = await asyncio.gather(too_early, move(company, tree, "backup"), move(company, tree, "notify"))
        assert refused["refused"]["billing"]["code"] == "OlderProcessRuns"
        assert f"worker {VERSION} on" in refused["refused"]["billing"]["detail"]
        await move(company, tree, "billing")
        done = await migrated(company, tree, "billing", "--contract")
        assert (len(done["applied"]["billing"]), done["pending"]["billing"]) == (1, [])
        await signing.one_more()
    assert signing.failures == []
    assert all(answer.attempts == 1 for one in signing.histories for answer in one.answers)
    await insist_on_both_releases(company, await history.check(company, *signing.histories))
    ended = await asyncio.to_thread(mainstay, company, ROOT, "api", "billing", "--port", "0")
    assert ended.returncode == 3
    assert f"for Mainstay {NEXT} and later; this is {VERSION}" in ended.stderr


async def insist_on_both_releases(company: Installation, evidence: Evidence) -> None:
    """Each drafted invoices on the same tables, and what only the next one tells was heard by both."""
    accepted = [one.envelope for one in evidence.log if one.kind == "contract-accepted"]
    assert {one.data.get("release") for one in accepted} == {None, NEXT}
    assert NEWS in {one.kind for one in evidence.log}
    billing = Database(company.databases["billing"])
    async with billing.reading() as reader:
        rows = await reader.rows(sa.text("SELECT DISTINCT drafted_by FROM invoices"))
    await billing.close()
    assert {row.drafted_by for row in rows} == {None, NEXT}


class Signing:
    """Customers who sign, some at a time, until told to stop; what went wrong for them is kept."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.histories: list[History] = []
        self.failures: list[str] = []
        self.goes_on = True
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self.goes_on:
            seed = len(self.histories) + 1
            async with Workload(self._url, seed=seed, customers=CUSTOMERS_AT_ONCE) as workload:
                http = workload.deployment.http
                http._transport = Watched(http._transport, self.failures)
                self.histories.append(workload.history)
                await workload.sign()

    async def one_more(self) -> None:
        """Until one more contract is accepted."""
        before = self._accepted()

        async def is_there() -> bool:
            if self.task.done():
                self.task.result()
            return self._accepted() > before

        await eventually(is_there, timeout=90, what="one more contract")

    def _accepted(self) -> int:
        return sum(len(one.accepted("accept-contract")) for one in self.histories)


@asynccontextmanager
async def traffic(company: Installation) -> AsyncIterator[Signing]:
    signing = Signing(company.url)
    try:
        yield signing
        signing.goes_on = False
        await signing.task
    finally:
        signing.task.cancel()


class Watched(httpx.AsyncBaseTransport):
    """Takes down every request that got no answer, or one that something was away."""

    def __init__(self, inner: httpx.AsyncBaseTransport, failures: list[str]) -> None:
        self._inner = inner
        self._failures = failures

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path}"
        try:
            answer = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            self._failures.append(f"{what}: {type(error).__name__}")
            raise
        if answer.status_code >= 500:
            self._failures.append(f"{what}: {answer.status_code}")
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


async def move(company: Installation, tree: Path, service: str) -> None:
    """The API and the worker of the next release come, then those of this one go."""
    for name in (f"api-{service}", f"worker-{service}-1"):
        successor = successor_of(company, tree, name)
        await asyncio.to_thread(successor.start)
        await ready(successor)
        await asyncio.to_thread(company.processes.pop(name).stop)
        company.processes[successor.name] = successor


def successor_of(company: Installation, tree: Path, name: str) -> ServerProcess:
    one = company.processes[name]
    part = f"{name}-next"
    folder = one.folder.parent / part
    folder.mkdir()
    command = list(one.command)
    if name.startswith("api-"):
        command[-1] = str(company.api_ports[name.removeprefix("api-")][1])
    own = {**(one.environment or {}), "PYTHONPATH": str(tree), "MAINSTAY_KAFKA_INSTANCE_ID": part}
    return ServerProcess(part, command, folder, environment=own)


async def go_back(company: Installation, name: str) -> None:
    """A process of this release stops and starts, whatever the next one has made of its database."""
    process = company.processes[name]
    await asyncio.to_thread(process.stop)
    (process.folder / "server.log").unlink()
    await asyncio.to_thread(process.start)
    await ready(process)


async def ready(process: ServerProcess) -> None:
    async def has_said_so() -> bool:
        process.insist_on_running()
        return "ready" in (process.folder / "server.log").read_text(errors="replace")

    await eventually(has_said_so, timeout=60, what=f"{process.name} to be ready")


async def migrated(company: Installation, tree: Path, *arguments: str, code: int = 0) -> Any:
    done = await asyncio.to_thread(mainstay, company, tree, "migrate", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def mainstay(company: Installation, tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = next(iter(company.processes.values())).environment or {}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        cwd=company.data_dir.parent,
        env={**os.environ, **environment, "PYTHONPATH": str(tree)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
