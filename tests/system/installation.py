"""An installation of Mainstay made of real processes that can be killed and started again, one by one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiokafka.admin import AIOKafkaAdminClient

from shared.events.registry import PARTNER_TOPIC_PREFIX, TOPICS
from tests.infrastructure.kafka_server import KafkaPair, KafkaServer
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.process import ServerProcess, folder_of_this_run, free_port
from tests.infrastructure.waiting import eventually, run_apart, wait_until

SERVICES = ("contracts", "billing", "backup", "notify")
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Installation:
    """`url` is the one origin; `processes` are its parts by name."""

    url: str
    data_dir: Path
    processes: dict[str, ServerProcess]
    databases: dict[str, str]
    """URLs by service; "log" is that of an SQL log."""
    kafka: str | None = None
    """Bootstrap servers, when Kafka carries the events."""
    api_ports: dict[str, list[int]] = field(default_factory=dict)
    """Of a split installation: where the front looks for each API."""

    def start(self) -> None:
        for process in self.processes.values():
            process.start()
        self.wait_until_ready()

    def wait_until_ready(self, *, timeout: float = 90) -> None:
        """Until every process runs and the origin says that all services are ready."""

        def ready() -> bool:
            for process in self.processes.values():
                process.insist_on_running()
            with suppress(httpx.HTTPError):
                return client.get(f"{self.url}/readyz").status_code == 200
            return False

        # One client for all tries: to make one reads every certificate authority that the machine trusts.
        with httpx.Client(timeout=5) as client:
            wait_until(ready, timeout=timeout, what=f"{self.url} to be ready")

    def kill_and_restart(self, name: str) -> None:
        """kill -9 and start again, with the same data."""
        process = self.processes[name]
        process.kill()
        process.start()

    def add_replica(self, name: str) -> ServerProcess:
        """One more process like this one, under the next name; not started."""
        one = self.processes[name]
        role, _, number = name.rpartition("-")
        part = f"{role}-{int(number) + 1}"
        folder = one.folder.parent / part
        folder.mkdir()
        own = {**(one.environment or {}), "MAINSTAY_KAFKA_INSTANCE_ID": part}
        self.processes[part] = ServerProcess(part, one.command, folder, environment=own)
        return self.processes[part]

    def logs(self) -> str:
        """The end of every process's log, for a failing test to show."""
        ends = [(name, process.folder / "server.log") for name, process in self.processes.items()]
        return "\n".join(f"== {name}\n{log.read_text(errors='replace')[-1500:]}" for name, log in ends if log.exists())

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.stop()


@contextmanager
def embedded(*, prepare: Callable[[Installation], None] | None = None, **settings: str) -> Iterator[Installation]:
    """Everything in one process on SQLite and the SQL event log, unless `settings`, variables, say otherwise.

    `prepare` is called before it starts.
    """
    port = free_port()
    with folder_of_this_run("embedded") as folder:
        environment = _environment(folder, port) | {"MAINSTAY_MAILBOX_PORT": str(free_port())} | settings
        data = Path(environment["MAINSTAY_DATA_DIR"])
        process = _process("embedded", folder, environment, "run")
        own = {name: f"sqlite:///{data}/{name}.db" for name in SERVICES}
        databases = {name: settings.get(f"MAINSTAY_{name.upper()}_DATABASE_URL", url) for name, url in own.items()}
        databases["log"] = f"sqlite:///{data}/events.db"
        bootstrap = settings.get("MAINSTAY_KAFKA_BOOTSTRAP")
        whole = Installation(f"http://localhost:{port}", data, {"embedded": process}, databases, bootstrap)
        if prepare is not None:
            prepare(whole)
        with _started(whole) as running:
            yield running


@contextmanager
def split(
    postgres: PostgresServer,
    *,
    kafka: KafkaServer | KafkaPair | None,
    replicas: int,
    name: str,
    seats: int = 1,
    prepare: Callable[[Installation], None] | None = None,
    **settings: str,
) -> Iterator[Installation]:
    """Every API and every worker a process of its own, on PostgreSQL and on a PostgreSQL log or Kafka.

    The front knows as many addresses of each API as there are `seats`; the first is taken. `prepare` is called before
    the first process starts, and then makes tables and topics, too.
    """
    ports = {service: [free_port() for _ in range(seats)] for service in SERVICES}
    port, smtp_port = free_port(), free_port()
    with folder_of_this_run(f"split-{name}") as folder:
        environment = _environment(folder, port) | {
            "MAINSTAY_PUBLIC_URL": f"http://localhost:{port}",
            "MAINSTAY_MAILBOX_PORT": str(smtp_port),
            "MAINSTAY_NOTIFY_SMTP_HOST": "127.0.0.1",
            "MAINSTAY_NOTIFY_SMTP_PORT": str(smtp_port),
            "MAINSTAY_POOL_SIZE": "5",
        }
        environment |= settings
        databases = {service: postgres.url_for(f"{name}_{service}") for service in SERVICES}
        for service in SERVICES:
            postgres.create_database(f"{name}_{service}")
            environment[f"MAINSTAY_{service.upper()}_DATABASE_URL"] = databases[service]
            urls = [f"http://127.0.0.1:{seat}" for seat in ports[service]]
            environment[f"MAINSTAY_{service.upper()}_URL"] = ",".join(urls)
        if kafka is None:
            postgres.create_database(f"{name}_log")
            databases["log"] = postgres.url_for(f"{name}_log")
            environment |= {"MAINSTAY_EVENT_LOG": "sql", "MAINSTAY_EVENT_LOG_URL": databases["log"]}
        else:
            run_apart(forget_topics(kafka.bootstrap))
            environment |= {"MAINSTAY_EVENT_LOG": "kafka", "MAINSTAY_KAFKA_BOOTSTRAP": kafka.bootstrap}
            environment["MAINSTAY_KAFKA_PARTITIONS"] = "4"
        if prepare is None:
            _run(folder, environment, "migrate", "all")
            _run(folder, environment, "topics", "ensure")
        processes = {"front": _process("front", folder, environment, "front")}
        for service in SERVICES:
            processes[f"api-{service}"] = _process(
                f"api-{service}", folder, environment, "api", service, "--port", str(ports[service][0])
            )
            for replica in range(replicas):
                part = f"worker-{service}-{replica + 1}"
                own = environment | {"MAINSTAY_KAFKA_INSTANCE_ID": part, "MAINSTAY_KAFKA_SESSION_SECONDS": "10"}
                processes[part] = _process(part, folder, own, "worker", service)
        bootstrap = kafka.bootstrap if kafka else None
        whole = Installation(f"http://localhost:{port}", folder / "data", processes, databases, bootstrap, ports)
        if prepare is not None:
            prepare(whole)
        with _started(whole) as running:
            yield running


async def forget_topics(bootstrap: str) -> None:
    """An installation with new databases would read what an earlier one told on the same broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:

        async def ours() -> list[str]:
            found = await admin.list_topics()
            return [topic for topic in found if topic in TOPICS or topic.startswith(PARTNER_TOPIC_PREFIX)]

        async def gone() -> bool:
            return not await ours()

        if there := await ours():
            await admin.delete_topics(there)
            await eventually(gone, what="the end of old topics")
    finally:
        await admin.close()


@contextmanager
def _started(installation: Installation) -> Iterator[Installation]:
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()


def _run(folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"mainstay {' '.join(arguments)}: {done.stdout[-1000:]} {done.stderr[-2000:]}"


def _environment(folder: Path, port: int) -> dict[str, str]:
    return {
        "MAINSTAY_BACKUP_REMOTE_REPOSITORIES": str(folder / "elsewhere"),
        "MAINSTAY_DATA_DIR": str(folder / "data"),
        "MAINSTAY_CLOCK": "virtual",
        "MAINSTAY_PORT": str(port),
        "PYTHONPATH": str(ROOT),
    }


def _process(name: str, folder: Path, environment: Mapping[str, str], *arguments: str) -> ServerProcess:
    own = folder / name
    own.mkdir()
    return ServerProcess(name, [sys.executable, "-m", "deploy.cli", *arguments], own, environment=environment)
