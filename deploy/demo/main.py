"""`mainstay demo`: finds or starts something to play against, plays the story, and says how it went."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from rich.console import Console

from deploy import environment
from deploy.cli.output import Exit
from deploy.demo.client import Installation, NothingThere, NoToken, NoVirtualClock, StepFailed
from deploy.demo.settings import DemoSettings
from deploy.demo.story import Story
from deploy.demo.timeline import timeline
from deploy.serving import bound_socket, port_of
from shared.kit.http_transport import direct_client

START_SECONDS = 30.0
STOP_SECONDS = 12.0
LAST_LINES = 15
LOCAL = "127.0.0.1"


class CannotStart(Exception):
    """The process of the demonstration's own did not come up."""


async def run_demo(url: str | None, *, as_json: bool) -> int:
    """Play the story; 0 when everything held, 1 when a step did not, 3 when there is nothing to play against."""
    tokens = environment.read(DemoSettings).tokens()
    console = Console(stderr=as_json, highlight=False)
    began = time.monotonic()
    try:
        async with AsyncExitStack() as stack:
            address = url if url is not None else await stack.enter_async_context(_something_running(console))
            installation = await stack.enter_async_context(Installation(address, tokens=tokens))
            await _insist_on_mainstay(installation)
            await installation.clock()
            rows = await _play(installation, console, as_json=as_json)
    except StepFailed as failed:
        _say(console, "red", f"✗ {failed.step} does not hold")
        _say(console, None, f"  expected  {failed.expected}")
        _say(console, None, f"  got       {failed.got}")
        return Exit.FAILED
    except (NoVirtualClock, NothingThere, NoToken, CannotStart) as reason:
        _say(console, None, str(reason))
        return Exit.AWAY
    _say(console, "green", f"✓ The story holds: {rows} steps in {time.monotonic() - began:.0f} s.")
    return Exit.DONE


def _say(console: Console, style: str | None, text: str) -> None:
    console.print(text, style=style, markup=False, soft_wrap=True)


async def _play(installation: Installation, console: Console, *, as_json: bool) -> int:
    count = 0
    with timeline(console, as_json=as_json) as shown:
        async for row in Story(installation, shown.busy).play():
            shown.show(row)
            count += 1
    return count


async def _insist_on_mainstay(installation: Installation) -> None:
    if not await _is_mainstay(installation.url):
        raise NothingThere(f"No Mainstay answers at {installation.url}.")


async def _is_mainstay(url: str) -> bool:
    with suppress(httpx.HTTPError, httpx.InvalidURL, ValueError):
        async with direct_client(timeout=5) as client:
            answer = await client.get(f"{url}/contracts/v1/catalogue/plans")
            return answer.is_success and "items" in answer.json()
    return False


@asynccontextmanager
async def _something_running(console: Console) -> AsyncIterator[str]:
    """The installation at the configured address, or one of our own that ends with the demonstration."""
    url = environment.read_common().base_url
    if await _is_mainstay(url):
        _say(console, "dim", f"Playing against {url}, which is running.")
        yield url
        return
    async with _own_process() as own:
        _say(console, "dim", f"Nothing runs at {url}: playing on {own}, a process of our own that ends with the story.")
        yield own


@asynccontextmanager
async def _own_process() -> AsyncIterator[str]:
    with TemporaryDirectory(prefix="mainstay-demo-") as folder, bound_socket(LOCAL, 0) as free:
        port = port_of(free)
        free.close()
        url = f"http://localhost:{port}"
        output = Path(folder) / "output.log"
        with output.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-m", "deploy.cli", "run", "--parent", str(os.getpid())],
                env=_environment(Path(folder), port),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                await _until_ready(process, url, output)
                yield url
            except StepFailed:
                # Its folder goes with it, so what it complained about is told now.
                for line in await _complaints(output):
                    print(line, file=sys.stderr)
                raise
            finally:
                await _end(process)


def _environment(folder: Path, port: int) -> Mapping[str, str]:
    """Nothing of this shell's settings reaches the process of our own, but where restic is."""
    from deploy.split.settings import environment_with

    kept = {
        name: value
        for name, value in environment_with({}).items()
        if not name.startswith("MAINSTAY_") or name == "MAINSTAY_BACKUP_RESTIC"
    }
    return {
        **kept,
        "MAINSTAY_BACKUP_REMOTE_REPOSITORIES": str(folder / "elsewhere"),
        "MAINSTAY_CLOCK": "virtual",
        "MAINSTAY_DATA_DIR": str(folder / "data"),
        "MAINSTAY_HOST": LOCAL,
        "MAINSTAY_PORT": str(port),
        "MAINSTAY_MAILBOX_PORT": "0",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


async def _until_ready(process: asyncio.subprocess.Process, url: str, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with direct_client(timeout=2) as client:
        while time.monotonic() < deadline and process.returncode is None:
            with suppress(httpx.HTTPError):
                if (await client.get(f"{url}/readyz")).is_success:
                    return
            await asyncio.sleep(0.1)
    text = await asyncio.to_thread(output.read_text, errors="replace")
    lines = text.splitlines()[-LAST_LINES:]
    raise CannotStart("\n".join(["Mainstay did not start:", *lines]))


async def _complaints(output: Path) -> list[str]:
    text = await asyncio.to_thread(output.read_text, errors="replace")
    return [line for line in text.splitlines() if '"level": "info"' not in line][-LAST_LINES:]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
