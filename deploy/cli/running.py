"""Commands that run something until told to stop."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import Annotated, Literal

import typer

from deploy import serving

STARTED = time.monotonic()

Service = Literal["contracts", "billing", "backup", "notify"]
ServiceName = Annotated[Service, typer.Argument(help="Which service.")]
Parent = Annotated[int | None, typer.Option(hidden=True, help="End when this process, the parent, is gone.")]
_PR_SET_PDEATHSIG = 1


def add_to(app: typer.Typer) -> None:
    panel = "Run"
    app.command("run", rich_help_panel=panel)(run)
    app.command("split", rich_help_panel=panel)(split)
    app.command("api", rich_help_panel=panel)(api)
    app.command("worker", rich_help_panel=panel)(worker)
    app.command("front", rich_help_panel=panel)(front)


def run(parent: Parent = None) -> None:
    """Run all four services in one process, with pages, development sign-in and mailbox."""
    from deploy.embedded.main import run_embedded

    _end_with(parent)
    serving.run(run_embedded(started=STARTED))


def api(
    service: ServiceName,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Instead of MAINSTAY_PORT.")] = None,
    parent: Parent = None,
) -> None:
    """Run one service's API alone, below its own prefix."""
    from deploy.split.single import run_api

    _end_with(parent)
    serving.run(run_api(service, port))


def worker(
    service: ServiceName,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Serve /livez, /readyz and /metrics on this port.")
    ] = None,
    parent: Parent = None,
) -> None:
    """Run one worker of a service; several at once share the work."""
    from deploy.split.single import run_worker

    _end_with(parent)
    serving.run(run_worker(service, metrics_port))


def front(parent: Parent = None) -> None:
    """Run the one address before split services: pages, development sign-in, mailbox and a proxy to their APIs."""
    from deploy.split.front import run_front

    _end_with(parent)
    serving.run(run_front())


def split(
    replicas: Annotated[int, typer.Option(min=1, max=8, help="Workers of each service.")] = 1,
) -> None:
    """Run the front, four APIs and their workers as processes of their own on this machine."""
    from deploy.split.supervisor import run_split

    serving.run(run_split(replicas=replicas))


def _end_with(parent: int | None) -> None:
    """Have the kernel send SIGTERM when the parent dies, however it dies (Linux)."""
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise typer.Exit(0)
