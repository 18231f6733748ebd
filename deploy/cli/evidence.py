"""Verifies evidence bundles, with no database and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.output import AsJson, Exit, complain, console, print_json
from deploy.evidence import BrokenLink, NoKey, Verified, key_id, verify


def add_to(app: typer.Typer) -> None:
    app.command("verify-evidence")(verify_evidence)


def verify_evidence(
    file: Annotated[Path, typer.Argument(help="The bundle.", exists=True, dir_okay=False, readable=True)],
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            help="A key that you know: its id (as `mainstay keys list` has it), its public half in hexadecimal digits, "
            "or a PEM file. Name as many as there have been.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle of evidence offline; 1 naming the first link that is broken.

    Without --key it is checked against the key that it carries, which anybody could have made.
    """
    try:
        trusted = [key_id(text) for text in key or ()]
    except NoKey as wrong:
        complain([str(wrong)])
        raise typer.Exit(Exit.WRONG_SETTINGS) from None
    try:
        found = verify(file, trusted)
    except BrokenLink as broken:
        _say_broken(file, broken, as_json=as_json)
        raise typer.Exit(Exit.FAILED) from None
    except OSError as trouble:
        complain([f"{file} cannot be read: {trouble.strerror}"])
        raise typer.Exit(Exit.AWAY) from None
    _say_verified(file, found, as_json=as_json)


def _say_broken(file: Path, broken: BrokenLink, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file), "holds": False, "broken": {"place": broken.place, "reason": broken.reason}})
    else:
        complain([str(broken)])


def _say_verified(file: Path, found: Verified, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file), "holds": True, "broken": None, **vars(found)})
        return
    about = f"{found.subject['kind']} {found.subject['id']}"
    console.print(
        f"{file.name}: {found.entries} files and {found.audit_rows} audit rows hold, about {about}.", markup=False
    )
    if found.is_known:
        console.print(f"Signed by key {found.key}, which you named.")
    else:
        console.print(f"Signed by key {found.key}. Compare it with one that you know, or name that with --key.")
