"""`mainstay audit`: verifies the trail of a service and names where it does not hold."""

from __future__ import annotations

import asyncio

import typer

from deploy.cli.operator import opened
from deploy.cli.output import AsJson, Exit, complain, console, print_json
from deploy.cli.running import ServiceName
from deploy.progress import Progress
from deploy.serving import settle
from deploy.trails import Break, verify_trail

commands = typer.Typer(help="The audit trail.", no_args_is_help=True)


@commands.callback()
def _group() -> None:
    """The audit trail."""


@commands.command("verify")
def verify(service: ServiceName, as_json: AsJson = False) -> None:
    """Check every chain of a service and its signed heads; 1 naming the first broken link of each chain."""
    chains, rows, breaks = asyncio.run(_verify(service))
    if as_json:
        found = [{"chain": one.chain, "seq": one.seq, "reason": one.reason} for one in breaks]
        print_json({"service": service, "chains": chains, "rows": rows, "breaks": found})
    elif breaks:
        complain(str(one) for one in breaks)
    else:
        console.print(f"{service}: {rows} sealed rows in {chains} chains hold.")
    if breaks:
        raise typer.Exit(Exit.FAILED)


async def _verify(service: str) -> tuple[int, int, list[Break]]:
    async with opened(service) as runtime:
        settle()
        progress = Progress(f"Verifying the rows of {service}")
        found = await verify_trail(runtime, told=progress.at)
        progress.end()
        return found
