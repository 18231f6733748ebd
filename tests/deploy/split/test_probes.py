"""What a worker answers on its own port: whether it lives, whether it can work, and what it measures."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from deploy import services
from deploy.opening import migrate, opened_log
from deploy.serving import bound_socket, port_of
from deploy.split import probes as probing
from deploy.split.probes import Probes, answering
from shared.kit.bus.kafka_client import KafkaSettings
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.settings import CommonSettings
from shared.kit.worker import STANDS_STILL_SECONDS, Worker
from tests.infrastructure.process import ServerProcess, folder_of_this_run, free_port
from tests.infrastructure.waiting import eventually, wait_until
from tests.system.installation import ROOT


@asynccontextmanager
async def working(folder: Path) -> AsyncIterator[tuple[Probes, Worker, asyncio.Event]]:
    """A worker of billing in this process, watched by its probes."""
    common, stop, probes = CommonSettings(data_dir=folder), asyncio.Event(), Probes()
    async with opened_log(common) as log:
        runtime = services.open_service("billing", common, log=log)
        await migrate(runtime)
        worker = services.worker_of(runtime)
        probes.watch(worker, stop)
        running = asyncio.create_task(worker.run(stop))
        try:
            yield probes, worker, stop
        finally:
            stop.set()
            await asyncio.gather(running, return_exceptions=True)
            await runtime.close()


async def asked(probes: Probes, path: str) -> tuple[int, Any]:
    transport = httpx.ASGITransport(probes.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        answer = await client.get(path)
    return answer.status_code, answer.json()


async def test_a_worker_whose_loops_turn_is_alive_and_ready(tmp_path: Path) -> None:
    async with working(tmp_path) as (probes, worker, _):
        before = {name: loop.turned_at for name, loop in worker.loops.items() if name != "housekeeping"}

        async def all_have_turned() -> bool:
            return all(worker.loops[name].turned_at > at for name, at in before.items())

        await eventually(all_have_turned)
        assert await asked(probes, "/livez") == (200, {"status": "ok"})
        idle = REGISTRY.get_sample_value("mainstay_worker_loop_idle_seconds", {"service": "billing", "loop": "relay"})
        assert idle is not None
        assert 0 <= idle < STANDS_STILL_SECONDS
        status, body = await asked(probes, "/readyz")
        assert (status, body["parts"]) == (200, {"worker": "ok", "database": "ok", "log": "ok"})


async def test_a_loop_that_does_not_come_round_ends_the_worker(tmp_path: Path) -> None:
    async with working(tmp_path) as (probes, worker, _):
        for name, loop in worker.loops.items():
            # As if it had been seen last long ago; nothing else runs until it is asked for.
            before, loop.turned_at = loop.turned_at, time.monotonic() - STANDS_STILL_SECONDS - 1
            assert probes.troubles() == [f"{name} stands still"]
            loop.turned_at = before
        worker.housekeeper.turned_at = time.monotonic() - STANDS_STILL_SECONDS - 1
        status, body = await asked(probes, "/livez")
        assert (status, body["reason"]) == (503, "housekeeping stands still")


async def test_a_loop_that_ended_is_told_before_the_process_is_gone(tmp_path: Path) -> None:
    async with working(tmp_path) as (_, worker, _stop):

        async def there() -> bool:
            return bool(worker._running)

        await eventually(there)
        worker._running["sealer"].cancel()

        async def told() -> bool:
            return "sealer" in worker.standing_still()

        await eventually(told)


async def test_a_worker_that_cannot_reach_the_log_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with working(tmp_path) as (probes, worker, _):
        away = KafkaLog(KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}", start_seconds=1))
        worker.runtime.log = away
        status, body = await asked(probes, "/readyz")
        assert (status, body["parts"]) == (503, {"worker": "ok", "database": "ok", "log": "LogAway"})
        assert (await asked(probes, "/livez"))[0] == 200
        await away.close()


async def test_a_worker_that_starts_or_stops_is_alive_and_not_ready(tmp_path: Path) -> None:
    starting = Probes()
    assert await asked(starting, "/readyz") == (503, {"status": "unavailable", "parts": {"worker": "starting"}})
    assert (await asked(starting, "/livez"))[0] == 200
    async with working(tmp_path) as (probes, _, stop):
        stop.set()
        assert (await asked(probes, "/readyz"))[1]["parts"] == {"worker": "stopping"}
        assert (await asked(probes, "/livez"))[0] == 200


async def test_a_worker_that_neither_starts_nor_ends_is_not_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("LONGEST_START_SECONDS", "LONGEST_STOP_SECONDS"):
        monkeypatch.setattr(probing, bound, -1.0)
    assert Probes().troubles() == ["it does not start"]
    async with working(tmp_path) as (probes, _, stop):
        stop.set()
        assert probes.troubles() == ["it does not end"]


def test_an_event_loop_that_is_stuck_does_not_answer() -> None:
    loop, ended, stuck, released = asyncio.new_event_loop(), asyncio.Event(), threading.Event(), threading.Event()

    def get_stuck() -> None:
        stuck.set()
        released.wait(10)

    with bound_socket("127.0.0.1", 0) as bound:
        thread = threading.Thread(target=loop.run_until_complete, args=[_serve(bound, ended)])
        thread.start()
        url = f"http://127.0.0.1:{port_of(bound)}/livez"
        assert httpx.get(url).status_code == 200
        loop.call_soon_threadsafe(get_stuck)
        assert stuck.wait(10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(url, timeout=0.3)
        released.set()
        assert httpx.get(url).status_code == 200
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
    loop.close()


async def _serve(bound: socket.socket, ended: asyncio.Event) -> None:
    async with answering(Probes().app(), bound):
        await ended.wait()


def test_a_worker_process_answers_on_its_port_and_leaves_when_told() -> None:
    port = free_port()
    with folder_of_this_run("probes") as folder:
        environment = {"MAINSTAY_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "deploy.cli", "worker", "billing", "--metrics-port", str(port)]
        process = ServerProcess("worker", command, folder, environment=environment, stop_signal=signal.SIGTERM)
        process.start()
        try:

            def ready() -> bool:
                process.insist_on_running()
                try:
                    return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
                except httpx.HTTPError:
                    return False

            wait_until(ready, what="a worker that is ready")
            answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
            assert "process_resident_memory_bytes" in answer.text
            assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 404
        finally:
            process.stop()
        assert process.ended_with == 0
