"""Puts the commands together and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from deploy.cli import (
    agreement,
    audit,
    consumers,
    decisions,
    demo,
    doctor,
    documents,
    evidence,
    keys,
    kubernetes,
    migrate,
    moving,
    parked,
    partners,
    restored,
    running,
    upkeep,
    waiting,
)
from deploy.cli.output import Exit, complain
from deploy.environment import WrongSettings
from deploy.folder import FolderInUse
from deploy.opening import CannotOpen
from deploy.serving import PortTaken
from shared.kernel.errors import Refusal, Unavailable
from shared.kit.version import VERSION

app = typer.Typer(
    name="mainstay",
    help="Runs a server-maintenance company by the agreement it signs with its customers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done · 1 failed or refused · 2 wrong use or settings · 3 something needed is away or taken.",
)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"mainstay {VERSION}")
        raise typer.Exit()


@app.callback()
def mainstay(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the release.")
    ] = False,
) -> None:
    """Runs a server-maintenance company by the agreement it signs with its customers."""


running.add_to(app)
migrate.add_to(app)
waiting.add_to(app)
upkeep.add_to(app)
doctor.add_to(app)
restored.add_to(app)
moving.add_to(app)
evidence.add_to(app)
demo.add_to(app)
app.add_typer(parked.parked, name="parked")
app.add_typer(consumers.consumers, name="consumers")
app.add_typer(parked.timers, name="timers")
app.add_typer(agreement.commands, name="agreement")
app.add_typer(audit.commands, name="audit")
app.add_typer(decisions.commands, name="decisions")
app.add_typer(keys.commands, name="keys")
app.add_typer(partners.commands, name="partners")
app.add_typer(kubernetes.commands, name="kubernetes")
app.add_typer(documents.docs, name="docs")
app.add_typer(documents.schemas, name="schemas")


def main(started: float | None = None) -> None:
    """Run the command line; `started` is time.monotonic() when the process began."""
    running.STARTED = started if started is not None else time.monotonic()
    try:
        app()
    except WrongSettings as wrong:
        complain(wrong.lines)
        sys.exit(Exit.WRONG_SETTINGS)
    except (CannotOpen, PortTaken, FolderInUse, Unavailable) as away:
        complain([str(away)])
        sys.exit(Exit.AWAY)
    except Refusal as refusal:
        complain([refusal.detail])
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
