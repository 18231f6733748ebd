"""`mainstay demo`: one contract's term on a virtual clock, against running HTTP APIs only."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy import serving
from deploy.cli.output import AsJson


def add_to(app: typer.Typer) -> None:
    app.command("demo", rich_help_panel="Run")(demo)


def demo(
    url: Annotated[
        str | None,
        typer.Option(help="Where to play; default: what runs at MAINSTAY_PORT, else a process of its own."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Play one contract's term, with real files, a real restic repository and a real SMTP peer; moves the clock.

    People are signed in by URL/dev-issuer, or by MAINSTAY_DEMO_TOKEN_CUSTOMER, …_OTHER_CUSTOMER, …_CLERK,
    …_AUDITOR, …_TECHNICIAN, …_PARTNER and …_ADMIN. Exit codes: 0 everything held, 1 a step did not, 3 nothing to play
    against.
    """
    from deploy.demo.main import run_demo

    serving.run(run_demo(url, as_json=as_json))
