"""`mainstay wait`: what runs before a service's processes where migrations are a job of their own, as on Kubernetes."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from deploy import environment
from deploy.cli.running import ServiceName
from deploy.opening import AWAY, CannotOpen, insist_up_to_date, open_explained
from shared.kit.runtime import Runtime

ASK_EVERY_SECONDS = 1.0


def add_to(app: typer.Typer) -> None:
    app.command("wait", rich_help_panel="Run")(wait)


def wait(
    service: ServiceName,
    seconds: Annotated[float, typer.Option(min=0, max=86_400, help="Give up after this long.")] = 900,
) -> None:
    """Wait until a service's database answers and lacks no migration; applies none."""
    asyncio.run(_wait(service, seconds))


async def _wait(service: str, seconds: float) -> None:
    """Raises WrongSettings at once, CannotOpen with the last reason when the time is over."""
    common, settings = environment.read_common(), environment.read_service(service)
    runtime = open_explained(service, common, settings)
    until, said = time.monotonic() + seconds, ""
    try:
        while (reason := await _reason_to_wait(runtime)) is not None:
            if time.monotonic() >= until:
                raise CannotOpen(reason)
            if reason != said:
                said = reason
                print(said, flush=True)
            await asyncio.sleep(ASK_EVERY_SECONDS)
    finally:
        await runtime.close()


async def _reason_to_wait(runtime: Runtime) -> str | None:
    try:
        await insist_up_to_date(runtime)
    except CannotOpen as reason:
        return str(reason)
    except AWAY as trouble:
        return f"The database of {runtime.name} does not answer ({type(trouble).__name__})."
    return None
