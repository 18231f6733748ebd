"""What an operator does after restoring one service's database from a backup: one command, before it starts again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer

from deploy.cli.operator import me, opened
from deploy.cli.output import AsJson, Exit, complain, console, print_json, print_table
from deploy.cli.running import ServiceName
from deploy.opening import opened_log
from deploy.progress import Progress
from deploy.services import memory_of, told_by
from deploy.trails import sign_where_chains_are
from services.billing.db import numbering
from services.billing.domain.invoice import Number
from shared.kernel.errors import Invalid
from shared.kit import audit_trail
from shared.kit.bus import restoring
from shared.kit.bus.restoring import Restored
from shared.kit.db import Transaction

MOST_SHOWN = 200


def add_to(app: typer.Typer) -> None:
    app.command("restored", rich_help_panel="Look after")(restored)


def restored(
    service: ServiceName,
    last_number: Annotated[
        list[str] | None,
        typer.Option(help="billing: the last invoice number that you know of, as MS-2026-000123; once per series."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """After restoring the database of a service from a backup, and before any of its processes start.

    Reads what the service has told since the backup, takes what it can from that (billing: the numbers of invoices;
    notify: the feeds of partners), begins a new epoch for its events, and lists what it does not know any more.
    """
    if last_number and service != "billing":
        complain(["--last-number is for billing."])
        raise typer.Exit(Exit.WRONG_SETTINGS)
    numbers = numbers_in(last_number or [])
    found = asyncio.run(_restored(service, numbers))
    if as_json:
        lost = [{"type": one.type, "time": one.time, "id": one.id, "data": one.data} for one in found.forgotten]
        print_json({"epoch": found.epoch, "forgotten": lost})
        return
    rows = [(one.type, one.subject, one.time) for one in found.forgotten[-MOST_SHOWN:]]
    print_table(f"Told by {service} and not known to it any more", ["event", "subject", "told at"], rows)
    if len(found.forgotten) > MOST_SHOWN:
        console.print(f"… and {len(found.forgotten) - MOST_SHOWN} before these: --json lists all.")
    console.print(f"{service} begins epoch {found.epoch}; start its API, enter again what is lost, start its worker.")


def numbers_in(given: Sequence[str]) -> list[Number]:
    """What `--last-number` was given; a wrong one ends the command."""
    try:
        return [Number.read(text) for text in given]
    except Invalid as wrong:
        complain([f"--last-number: {wrong.detail}"])
        raise typer.Exit(Exit.WRONG_SETTINGS) from None


async def _restored(service: str, numbers: list[Number]) -> Restored:
    async def audit(tx: Transaction, found: Restored) -> None:
        for number in numbers:
            await numbering.go_on_after(tx, number)
        tx.actor = me()
        kinds = Counter(one.type for one in found.forgotten)
        details = {"epoch": found.epoch, "forgotten": dict(kinds), "last_numbers": [str(one) for one in numbers]}
        audit_trail.record(tx, None, "restored", UUID(int=0), **details)

    async with opened(service) as runtime, opened_log(runtime.common) as log:
        await sign_where_chains_are(runtime)
        progress = Progress(f"Reading what {service} has told")
        topics, memory = told_by(service), memory_of(service)
        found = await restoring.restore(runtime.database, log, service, topics, memory, audit, told=progress.at)
        progress.end()
        return found
