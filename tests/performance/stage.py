"""What rows play on: real servers, started when a row first asks and shared by the rest of the run."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
from pydantic import SecretStr

from deploy import services
from deploy.opening import migrate
from shared.kit.auth import DevelopmentIssuer, Role
from shared.kit.bus.log import EventLog
from shared.kit.runtime import Runtime, development_issuer
from shared.kit.settings import CommonSettings
from tests.infrastructure.kafka_server import KafkaServer, running_kafka
from tests.infrastructure.postgres import PostgresServer, running_postgres
from tests.infrastructure.process import ServerProcess, folder_of_this_run, free_port
from tests.infrastructure.waiting import wait_until
from tests.performance.profiling import FILE as PROFILE

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
DURABLE = {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "4GB", "track_commit_timestamp": "on"}
"""Unlike in the tests a commit waits for the disk, as in production; a million rows fit the cache."""


@dataclass(eq=False)
class Listening:
    """One HTTP server in a process of its own."""

    port: int
    process: ServerProcess

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass(eq=False)
class Stage:
    """`quick` makes everything shorter and the figures rougher; `profiled` runs our servers under cProfile."""

    quick: bool
    profiled: bool
    folder: Path
    _stack: ExitStack
    _databases: set[str] = field(default_factory=set)

    def close(self) -> None:
        """Stop every server; what they wrote is there until the stage itself is gone."""
        self._stack.close()

    @property
    def pairs(self) -> int:
        return 5 if self.quick else 15

    @property
    def slice_seconds(self) -> float:
        return 0.4 if self.quick else 0.6

    @cached_property
    def postgres(self) -> PostgresServer:
        return self._stack.enter_context(running_postgres(**DURABLE))

    @cached_property
    def kafka(self) -> KafkaServer:
        return self._stack.enter_context(running_kafka())

    def database(self, name: str) -> str:
        """The URL of a new and empty PostgreSQL database."""
        self.postgres.create_database(name)
        self._databases.add(name)
        return self.postgres.url_for(name)

    def has_database(self, name: str) -> bool:
        return name in self._databases

    @cached_property
    def front(self) -> Listening:
        """Where the APIs find the keys of the development issuer."""
        environment = self._environment | {"MAINSTAY_MAILBOX_PORT": str(free_port())}
        return self.serve("front", ["deploy.cli", "front"], environment, port=self._front_port)

    @cached_property
    def issuer(self) -> DevelopmentIssuer:
        public_url, data = self._environment["MAINSTAY_PUBLIC_URL"], self._environment["MAINSTAY_DATA_DIR"]
        return development_issuer(CommonSettings(public_url=public_url, data_dir=Path(data)))

    @asynccontextmanager
    async def runtime(self, service: str, database_url: str, log: EventLog | None = None) -> AsyncIterator[Runtime]:
        """A service opened in this process on that database, migrated."""
        common = CommonSettings(data_dir=self.folder / "data", rate_limit_per_second=0)
        settings = services.settings_of(service).model_copy(update={"database_url": SecretStr(database_url)})
        runtime = services.open_service(service, common, settings=settings, log=log)
        try:
            await migrate(runtime)
            yield runtime
        finally:
            await runtime.close()

    def token(self, role: Role, customer_id: UUID | None = None) -> str:
        return self.issuer.token(role, customer_id=customer_id)

    def api(self, name: str, database_url: str) -> Listening:
        """The contracts API as production serves it, with the routes of tests.performance.ours."""
        assert self.front
        port = free_port()
        environment = self._environment | {"MAINSTAY_CONTRACTS_DATABASE_URL": database_url}
        module = ["tests.performance.ours", str(port), *([PROFILE] if self.profiled else [])]
        return self.serve(name, module, environment, port=port)

    @cached_property
    def contracts_url(self) -> str:
        return self.database("bench_contracts")

    @cached_property
    def contracts(self) -> Listening:
        """The contracts API on PostgreSQL."""
        return self.api("ours", self.contracts_url)

    @cached_property
    def raw(self) -> Listening:
        """FastAPI and raw asyncpg on the same tables."""
        return self.floor("raw", self.contracts_url)

    def floor(self, name: str, database_url: str = "") -> Listening:
        """An application of tests.performance.floors under uvicorn at its best."""
        port = free_port()
        command = ["uvicorn", f"tests.performance.floors:{name}", "--port", str(port), "--loop", "uvloop"]
        command += ["--http", "httptools", "--no-access-log", "--log-level", "warning"]
        return self.serve(f"floor-{name}", command, {"FLOOR_DATABASE_URL": database_url}, port=port)

    def serve(self, name: str, module: list[str], environment: Mapping[str, str], *, port: int) -> Listening:
        """`python -m …` in a folder of its own, until the stage closes; returns when it answers."""
        folder = self.folder / name
        folder.mkdir()
        command = [sys.executable, "-m", *module]
        process = ServerProcess(name, command, folder, environment={"PYTHONPATH": str(ROOT), **environment})
        process.start()
        self._stack.callback(process.stop)

        def answers() -> bool:
            process.insist_on_running()
            with suppress(httpx.HTTPError):
                return bool(httpx.get(f"http://127.0.0.1:{port}/livez", timeout=READY_SECONDS).status_code)
            return False

        wait_until(answers, timeout=READY_SECONDS, what=f"an answer from {name}")
        return Listening(port, process)

    @cached_property
    def _front_port(self) -> int:
        return free_port()

    @cached_property
    def _environment(self) -> dict[str, str]:
        return {
            "MAINSTAY_DATA_DIR": str(self.folder / "data"),
            "MAINSTAY_PUBLIC_URL": f"http://127.0.0.1:{self._front_port}",
            "MAINSTAY_PORT": str(self._front_port),
            "MAINSTAY_RATE_LIMIT_PER_SECOND": "0",
        }


@contextmanager
def open_stage(*, quick: bool, profiled: bool) -> Iterator[Stage]:
    with folder_of_this_run("bench") as folder, ExitStack() as stack:
        yield Stage(quick, profiled, folder, stack)


async def execute(url: str, *statements: str) -> None:
    """Run statements on PostgreSQL, each in a transaction of its own, without a time limit of ours."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
