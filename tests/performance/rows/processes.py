"""Each process by itself: how soon it is ready, and how much memory it keeps."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

from tests.infrastructure.process import ServerProcess
from tests.infrastructure.waiting import eventually
from tests.performance.figures import Aim, Figure
from tests.performance.load import request
from tests.performance.rows import row
from tests.performance.stage import Stage
from tests.system import installation
from tests.system.installation import Installation

IDLE_SECONDS = 3.0
"""Long enough for a worker's leases and first rounds."""
MIB = 1024 * 1024
BODY_MIB = 100
PARTS = ("front", "api-contracts", "api-billing", "api-backup", "api-notify")
WORKERS = ("worker-contracts-1", "worker-billing-1", "worker-backup-1", "worker-notify-1")


@row("processes")
async def processes(stage: Stage) -> AsyncIterator[Figure]:
    """Each process on a machine that does nothing else: seconds until it says that it is ready, and its idle memory."""
    with installation.embedded(MAINSTAY_CLOCK="system") as company:
        async for figure in _restarted(company, ["embedded"]):
            yield figure
    with installation.split(stage.postgres, kafka=None, replicas=1, name="alone", MAINSTAY_CLOCK="system") as company:
        for process in company.processes.values():
            process.stop()
        async for figure in _restarted(company, [*PARTS, *WORKERS]):
            yield figure
        contracts = company.processes["api-contracts"]
        await _ready(contracts)
        async for figure in _large_bodies(contracts):
            yield figure


async def _restarted(company: Installation, names: list[str]) -> AsyncIterator[Figure]:
    for name in names:
        process = company.processes[name]
        process.stop()
        seconds = await _ready(process)
        await asyncio.sleep(IDLE_SECONDS)
        mebibytes = _memory(process.pid, "VmRSS")
        aim = Aim(150, at_most=True) if name in WORKERS else None
        yield Figure(name=f"{name}, ready", value=seconds, unit="s")
        yield Figure(name=f"{name}, idle", value=mebibytes, unit="MiB", aim=aim)
        process.stop()


async def _ready(process: ServerProcess) -> float:
    """Start it; seconds until it says so."""
    log = process.folder / "server.log"
    said = log.read_bytes().count(b" ready") if log.exists() else 0
    began = time.perf_counter()
    process.start()

    async def says_so() -> bool:
        process.insist_on_running()
        return log.read_bytes().count(b" ready") > said

    await eventually(says_so, timeout=60, what=f"{process.name} to be ready")
    return time.perf_counter() - began


async def _large_bodies(process: ServerProcess) -> AsyncIterator[Figure]:
    """Peak over idle memory while somebody sends far more than is taken: once announced, once in endless chunks."""
    environment = process.environment or {}
    port = int(environment["MAINSTAY_CONTRACTS_URL"].rpartition(":")[2])
    await asyncio.sleep(IDLE_SECONDS)
    for says, pieces in (("announced", _announced()), ("in chunks", _in_chunks())):
        _forget_peak(process.pid)
        idle = _memory(process.pid, "VmRSS")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        with suppress(ConnectionError):
            assert b" 4" in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        peak = _memory(process.pid, "VmHWM")
        parts = {"idle MiB": idle, "peak MiB": peak}
        yield Figure(
            name=f"peak with {BODY_MIB} MB {says} / idle", value=peak / idle, aim=Aim(1.2, at_most=True), parts=parts
        )


def _announced() -> Iterator[bytes]:
    yield request("PUT", "/contracts/v1/customers", content_length=str(BODY_MIB * MIB), content_type="application/json")
    for _ in range(BODY_MIB):
        yield b"[" * MIB


def _in_chunks() -> Iterator[bytes]:
    yield request("POST", "/contracts/v1/customers", transfer_encoding="chunked", content_type="application/json")
    for _ in range(BODY_MIB):
        yield b"%x\r\n%s\r\n" % (MIB, b"[" * MIB)


def _forget_peak(pid: int) -> None:
    """VmHWM begins anew at what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int, what: str) -> float:
    """MiB of resident memory: VmRSS now, VmHWM at its peak."""
    found = re.search(rf"{what}:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024
