"""The supervisor of a split installation."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rich.console import Console

from deploy.split import supervisor as supervising
from deploy.split.supervisor import Child, Supervisor
from tests.infrastructure.process import is_alive
from tests.infrastructure.waiting import eventually

LONG = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def child(name: str, program: str) -> Child:
    return Child(name, [sys.executable, "-c", program], {"MARK": name}, "cyan")


@asynccontextmanager
async def supervised(*children: Child) -> AsyncIterator[tuple[Supervisor, io.StringIO]]:
    said = io.StringIO()
    supervisor = Supervisor(list(children), Console(file=said, width=120))
    running = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, said
    finally:
        supervisor.stop.set()
        await running


async def up(said: io.StringIO, times: int) -> None:
    async def seen() -> bool:
        return said.getvalue().count("up") >= times

    await eventually(seen)


async def test_what_a_child_says_is_prefixed_with_its_name() -> None:
    async with supervised(child("billing-api", LONG), child("front", LONG)) as (_, said):
        await up(said, 2)
        assert "billing-api │ up" in said.getvalue()
        assert "front       │ up" in said.getvalue()


async def test_a_child_that_dies_is_started_again() -> None:
    async with supervised(child("worker", LONG)) as (supervisor, said):
        await up(said, 1)
        process = supervisor.children[0].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await up(said, 2)
        assert "ended (SIGKILL); started again" in said.getvalue()


async def test_a_child_that_keeps_dying_is_started_ever_more_slowly() -> None:
    async with supervised(child("worker", "raise SystemExit(3)")) as (_, said):

        async def third() -> bool:
            return said.getvalue().count("ended (exit 3)") >= 3

        await eventually(third)
        pauses = re.findall(r"started again in (.*) s", said.getvalue())
        assert pauses[:3] == ["0.5", "1.0", "2.0"]


async def test_stopping_leaves_no_child_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "STOP_SECONDS", 0.5)
    began = time.monotonic()
    async with supervised(child("polite", LONG), child("stubborn", STUBBORN)) as (supervisor, said):
        await up(said, 2)
        pids = [one.process.pid for one in supervisor.children if one.process is not None]
    assert not [pid for pid in pids if is_alive(pid)]
    assert time.monotonic() - began < 10
