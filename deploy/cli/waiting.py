"""`mainstay wait`: what runs before a service's processes where migrations are a job of their own, as on Kubernetes."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from deploy import environment
from deploy.cli.running import ServiceName
from deploy.environment import PREFIX, explained
from deploy.opening import CannotOpen, insist_up_to_date
from deploy.services import open_service

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
    with explained(f"{PREFIX}{service.upper()}_"):
        runtime = open_service(service, common, settings=settings)
    until, said = time.monotonic() + seconds, ""
    try:
        while True:
            try:
                await insist_up_to_date(runtime)
                return
            except CannotOpen as reason:
                if time.monotonic() >= until:
                    raise
                if str(reason) != said:
                    said = str(reason)
                    print(said, flush=True)
            await asyncio.sleep(ASK_EVERY_SECONDS)
    finally:
        await runtime.close()
