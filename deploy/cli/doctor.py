"""`mainstay doctor`: what is wrong with this installation, and what mends it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from deploy.cli.output import AsJson, Exit, console, print_json
from deploy.cli.running import Service
from deploy.doctor.finding import Finding, Severity
from deploy.services import SERVICES

SHOWN = {Severity.OK: ("✓", "green"), Severity.WARNING: ("!", "yellow"), Severity.ERROR: ("✗", "red")}


def add_to(app: typer.Typer) -> None:
    app.command("doctor", rich_help_panel="Look after")(doctor)


def doctor(
    service: Annotated[
        Service | None, typer.Option(help="Only what this service needs, in its worker's environment.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything this installation depends on, in a few seconds, and change nothing.

    Settings, data folder, keys, certificates, databases, event log, identity provider, mail server, backups, and
    work that waits. Each finding has its remedy. Exit code 1 when there is an error; warnings alone are 0.
    """
    from deploy.doctor.examining import examine

    with _quiet_libraries():
        findings = asyncio.run(examine(SERVICES if service is None else (service,)))
    counts = Counter(finding.severity for finding in findings)
    if as_json:
        told = [vars(finding) for finding in findings]
        print_json({"errors": counts[Severity.ERROR], "warnings": counts[Severity.WARNING], "findings": told})
    else:
        _show(findings, counts)
    if counts[Severity.ERROR]:
        raise typer.Exit(Exit.FAILED)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """What they log of what they meet is told by the findings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _show(findings: list[Finding], counts: Counter[Severity]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        sign, colour = SHOWN[finding.severity]
        said = Text(finding.found)
        if finding.remedy:
            said.append(f"\n→ {finding.remedy}", style="bold")
        table.add_row(Text(sign, style=colour), finding.part, said)
    console.print(table)
    summary = f"{counts[Severity.ERROR]} error(s), {counts[Severity.WARNING]} warning(s)."
    console.print(Text(f"\n{summary}", style="red" if counts[Severity.ERROR] else "green"))
