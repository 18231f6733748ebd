"""`mainstay split`: all processes of a split installation on one machine, started again when they die."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
from rich.console import Console
from rich.text import Text

from deploy import environment
from deploy.folder import locked
from deploy.opening import bring_up_to_date, ensure_topics, opened_log
from deploy.restarting import pause_after
from deploy.services import SERVICES, open_service
from deploy.serving import PortTaken, bound_socket, port_of, stop_on_signals
from deploy.site.mailbox import mailbox_socket
from deploy.site.settings import SiteSettings
from deploy.split.settings import environment_with, url_variables
from shared.kit.http_transport import direct_client
from shared.kit.settings import CommonSettings, ServiceSettings

STOP_SECONDS = 9.0
LONGEST_PAUSE_SECONDS = 15.0
READY_SECONDS = 60.0
LONGEST_LINE = 1 << 20
COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta", "white")


@dataclass
class Child:
    """One process and how it is started."""

    name: str
    command: list[str]
    variables: dict[str, str]
    colour: str
    process: asyncio.subprocess.Process | None = None
    starts: int = field(default=0)


class Supervisor:
    def __init__(self, children: list[Child], console: Console) -> None:
        self.children = children
        self._console = console
        self._width = max(len(child.name) for child in children)
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Keep every child running until `stop`; then none is left, at the latest after STOP_SECONDS."""
        keepers = [asyncio.create_task(self._keep(child)) for child in self.children]
        await self.stop.wait()
        self._signal(signal.SIGTERM)
        _done, slow = await asyncio.wait(keepers, timeout=STOP_SECONDS)
        if slow:
            self._signal(signal.SIGKILL)
            await asyncio.wait(slow, timeout=1)

    def _signal(self, number: signal.Signals) -> None:
        for child in self.children:
            if child.process is not None and child.process.returncode is None:
                with suppress(ProcessLookupError):
                    child.process.send_signal(number)

    async def _keep(self, child: Child) -> None:
        pause: float | None = None
        while not self.stop.is_set():
            began = time.monotonic()
            code = await self._run_once(child)
            if self.stop.is_set():
                return
            pause = pause_after(pause, time.monotonic() - began, longest=LONGEST_PAUSE_SECONDS)
            self.say(child, f"ended ({_manner(code)}); started again in {pause:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), pause)

    async def _run_once(self, child: Child) -> int:
        child.process = await asyncio.create_subprocess_exec(
            *child.command,
            env=environment_with(child.variables),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LONGEST_LINE,
            # A Ctrl-C in the terminal reaches the supervisor alone, which then stops its children in order.
            start_new_session=True,
        )
        child.starts += 1
        if self.stop.is_set():
            child.process.terminate()
        assert child.process.stdout is not None
        while True:
            try:
                line = await child.process.stdout.readline()
            except ValueError:
                continue
            if not line:
                break
            self.say(child, line.decode(errors="replace").rstrip())
        return await child.process.wait()

    def say(self, child: Child, line: str) -> None:
        head = Text(f"{child.name.ljust(self._width)} │ ", style=child.colour)
        self._console.print(head + Text(line), soft_wrap=True)


async def run_split(*, replicas: int) -> int:
    """Until told to stop; raises WrongSettings, CannotOpen, PortTaken, FolderInUse."""
    told = environment.read_whole()
    common, settings = told.common, told.services
    console = Console(highlight=False)
    with locked(common.data_dir.absolute()):
        variables, ports = _addresses(common, told.pages, settings["notify"])
        await _prepare(common, settings, console)
        supervisor = Supervisor(_children(variables, ports, replicas), console)
        stop_on_signals(supervisor.stop)
        announcing = asyncio.create_task(_announce(variables["MAINSTAY_PUBLIC_URL"], supervisor.stop, console))
        try:
            await supervisor.run()
        finally:
            announcing.cancel()
    return 0


def _addresses(
    common: CommonSettings, pages: SiteSettings, notify: ServiceSettings
) -> tuple[dict[str, str], dict[str, int]]:
    """What every child is told, and the port of each process that listens."""
    with bound_socket(common.host, common.port) as bound:
        front_port = port_of(bound)
        ports = {name: _port_near(front_port + number) for number, name in enumerate(SERVICES, start=1)}
    with mailbox_socket(pages.mailbox_host, pages.mailbox_port) as post:
        smtp_port = port_of(post)
    told = common.model_copy(update={"port": front_port})
    variables = {
        "MAINSTAY_PUBLIC_URL": told.base_url,
        "MAINSTAY_DATA_DIR": str(common.data_dir.absolute()),
        "MAINSTAY_MAILBOX_PORT": str(smtp_port),
        "MAINSTAY_DRAIN_SECONDS": "0",  # All stop together, so nobody is left to send to another.
        **url_variables(ports),
    }
    if not notify.model_fields_set & {"smtp_host", "smtp_port"}:
        variables |= {"MAINSTAY_NOTIFY_SMTP_HOST": "127.0.0.1", "MAINSTAY_NOTIFY_SMTP_PORT": str(smtp_port)}
    return variables, {**ports, "front": front_port}


def _port_near(port: int) -> int:
    """`port` if it is free, else any free one."""
    for candidate in (port, 0):
        with suppress(PortTaken, OverflowError), bound_socket("127.0.0.1", candidate) as bound:
            return port_of(bound)
    raise PortTaken("There is no free port.")


async def _prepare(common: CommonSettings, settings: Mapping[str, ServiceSettings], console: Console) -> None:
    """Migrate every database and make the topics once, before anything runs."""
    for name, own in settings.items():
        with environment.explained(f"{environment.PREFIX}{name.upper()}_"):
            runtime = open_service(name, common, settings=own)
        try:
            for revision in await bring_up_to_date(runtime):
                console.print(f"migrated {name} to {revision}")
        finally:
            await runtime.close()
    async with opened_log(common) as log:
        await ensure_topics(log)


def _children(variables: Mapping[str, str], ports: Mapping[str, int], replicas: int) -> list[Child]:
    described: list[tuple[str, list[str], dict[str, str]]] = [
        ("front", ["front"], {"MAINSTAY_PORT": str(ports["front"])})
    ]
    for name in SERVICES:
        inside = {"MAINSTAY_HOST": "127.0.0.1", "MAINSTAY_PORT": str(ports[name])}
        described.append((f"{name}-api", ["api", name], inside))
        for number in range(1, replicas + 1):
            part = f"{name}-worker-{number}"
            described.append((part, ["worker", name], {"MAINSTAY_KAFKA_INSTANCE_ID": part}))
    return [
        Child(name, _command(arguments), {**variables, **own}, COLOURS[number % len(COLOURS)])
        for number, (name, arguments, own) in enumerate(described)
    ]


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "deploy.cli", *arguments, "--parent", str(os.getpid())]


async def _announce(url: str, stop: asyncio.Event, console: Console) -> None:
    """Say once that everything answers."""
    deadline = time.monotonic() + READY_SECONDS
    async with direct_client(timeout=3) as client:
        while not stop.is_set() and time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if (await client.get(f"{url}/readyz")).is_success:
                    console.print(f"Mainstay is ready at {url} (split).", style="bold")
                    return
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.2)


def _manner(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
