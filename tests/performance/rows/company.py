"""The whole company at its main job: how many services it registers per second, and how soon after the audit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import asyncpg

from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.process import ServerProcess
from tests.performance.figures import Figure, percentile
from tests.performance.load import cpu_seconds
from tests.performance.main_job import Customers, rows_on_postgres, rows_on_sqlite
from tests.performance.rows import row
from tests.performance.stage import Stage
from tests.system import installation
from tests.system.installation import Installation

# No backups are taken, so that restic has no part in the figures, and nobody left an address for notices.
SETTINGS = {
    "MAINSTAY_CLOCK": "system",
    "MAINSTAY_RATE_LIMIT_PER_SECOND": "0",
    "MAINSTAY_POOL_SIZE": "10",
    "MAINSTAY_BACKUP_RESTIC": "/bin/false",
}
SERVICES = ("contracts", "billing")
"""Whose processes do the main job."""
APPROVED = "SELECT contract_id, pg_xact_commit_timestamp(xmin) FROM payments WHERE status = 'approved'"
REGISTERED = "SELECT contract_id, pg_xact_commit_timestamp(xmin) FROM periods WHERE status = 'paid'"


@row("main-job")
async def main_job(stage: Stage) -> AsyncIterator[Figure]:
    """Accept, invoice, pay, audit, register, by 16 customers at a time: services registered per second; no floor."""
    count = 60 if stage.quick else 200
    with installation.embedded(prepare=None, **SETTINGS) as company:
        customers = Customers(company, rows_on_sqlite(company.data_dir))
        yield await _throughput("main job, embedded (1 process)", customers, count, list(company.processes.values()))
    with _split(stage, None, "job") as company:
        async with _signed_in(stage, company, "job") as customers:
            more: list[ServerProcess] = []
            try:
                for workers in (2, 4, 8):
                    more += _more_workers(company, count=workers - 2 - len(more), already=len(more))
                    name = f"main job, split: 2 APIs and {workers} workers"
                    yield await _throughput(name, customers, count, [*_at_the_job(company), *more])
            finally:
                for worker in more:
                    worker.stop()


@row("delay")
async def delay(stage: Stage) -> AsyncIterator[Figure]:
    """From the commit of PaymentAudited to that of the registered service, by PostgreSQL's commit times; no floor."""
    for name, says, kafka in (("sql", "SQL log", None), ("kafka", "Kafka", stage.kafka)):
        with _split(stage, kafka, f"delay_{name}") as company:
            async with _signed_in(stage, company, f"delay_{name}") as customers:
                await customers.buy(await customers.draft(5))
                for contract in await customers.draft(30 if stage.quick else 100):
                    await customers.buy([contract])
            seconds = await _delays(stage, f"delay_{name}")
        parts = {"p99 ms": percentile(seconds, 99) * 1e3}
        yield Figure(
            name=f"audited to registered p50, {says}", value=percentile(seconds, 50) * 1e3, unit="ms", parts=parts
        )


async def _throughput(name: str, customers: Customers, count: int, processes: list[ServerProcess]) -> Figure:
    await customers.buy(await customers.draft(10))
    contracts = await customers.draft(count)
    began, cpu = time.perf_counter(), sum(cpu_seconds(process.pid) for process in processes)
    await customers.buy(contracts)
    per_second = count / (time.perf_counter() - began)
    cpu = sum(cpu_seconds(process.pid) for process in processes) - cpu
    parts = {"per process": per_second / len(processes), "per CPU second of these": count / cpu}
    return Figure(name=name, value=per_second, unit="jobs/s", parts=parts)


def _at_the_job(company: Installation) -> list[ServerProcess]:
    return [company.processes[part] for one in SERVICES for part in (f"api-{one}", f"worker-{one}-1")]


@contextmanager
def _split(stage: Stage, kafka: KafkaServer | None, name: str) -> Iterator[Installation]:
    with installation.split(
        stage.postgres, kafka=kafka, replicas=1, name=name, seats=1, prepare=None, **SETTINGS
    ) as company:
        yield company


@asynccontextmanager
async def _signed_in(stage: Stage, company: Installation, name: str) -> AsyncIterator[Customers]:
    connections = {one: await asyncpg.connect(stage.postgres.url_for(f"{name}_{one}")) for one in SERVICES}
    try:
        yield Customers(company, rows_on_postgres(connections))
    finally:
        await asyncio.gather(*(connection.close() for connection in connections.values()))


def _more_workers(company: Installation, *, count: int, already: int) -> list[ServerProcess]:
    """`count` more workers, of contracts and billing in turn, besides the first of each."""
    started = []
    for number in range(already, already + count):
        first = company.processes[f"worker-{SERVICES[number % 2]}-1"]
        folder = first.folder.with_name(f"{first.folder.name}-more-{number}")
        folder.mkdir()
        own = {**(first.environment or {}), "MAINSTAY_KAFKA_INSTANCE_ID": folder.name}
        worker = replace(first, folder=folder, environment=own)
        worker.start()
        started.append(worker)
    return started


async def _delays(stage: Stage, name: str) -> list[float]:
    """Seconds between the two commits, of every contract."""
    found = []
    for service, query in (("billing", APPROVED), ("contracts", REGISTERED)):
        connection = await asyncpg.connect(stage.postgres.url_for(f"{name}_{service}"))
        found.append(dict(await connection.fetch(query)))
        await connection.close()
    approved, registered = found
    return [(registered[contract] - at).total_seconds() for contract, at in approved.items()]
