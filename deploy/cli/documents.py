"""Commands that write the generated documents and check that they agree with the code."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.output import AsJson, Exit, complain, console, print_json
from deploy.docs import freezing
from deploy.docs.generating import documents
from shared.events import gate
from shared.events.registry import FACTS

ROOT = Path(__file__).parents[2]
MOST_DIFFERENCE_LINES = 60

docs = typer.Typer(help="OpenAPI, AsyncAPI and the settings: documents under docs.", no_args_is_help=True)
schemas = typer.Typer(help="Frozen schemas of the published language.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--root", help="The checkout.", exists=True, file_okay=False)]


@docs.command("write")
def write_documents(root: Folder = ROOT, as_json: AsJson = False) -> None:
    """Write docs/api/*.json and docs/operations/settings.md, and freeze schemas of new facts."""
    changed = []
    for path, text in documents().items():
        target = root / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            changed.append(path)
    changed += _freeze(root)
    if as_json:
        print_json({"written": changed})
    else:
        console.print("\n".join(f"wrote {path}" for path in changed) or "All documents were up to date.")


@docs.command("check")
def check_documents(root: Folder = ROOT, as_json: AsJson = False) -> None:
    """Compare the committed documents with what the code says; 1 with the difference."""
    differences = {path: _difference(root, path, text) for path, text in documents().items()}
    found = {path: lines for path, lines in differences.items() if lines}
    troubles = _gate(root)
    if as_json:
        print_json({"differences": found, "schemas": troubles})
    else:
        for path, lines in found.items():
            complain([f"{path} differs; run `mainstay docs write`", *lines[:MOST_DIFFERENCE_LINES]])
        complain(troubles)
    if found or troubles:
        raise typer.Exit(Exit.FAILED)
    if not as_json:
        console.print("All documents agree with the code.")


@schemas.command("freeze")
def freeze_schemas(root: Folder = ROOT, as_json: AsJson = False) -> None:
    """Write schema and sample of facts that have none; never changes one that is there."""
    written = _freeze(root)
    if as_json:
        print_json({"written": written})
    else:
        console.print("\n".join(f"froze {path}" for path in written) or "Every fact has its frozen schema.")


@schemas.command("check")
def check_schemas(root: Folder = ROOT, as_json: AsJson = False) -> None:
    """The gate: old events still read, new events fit the older minors, nothing changed within a major."""
    troubles = _gate(root)
    if as_json:
        print_json({"problems": troubles})
    elif troubles:
        complain(troubles)
    else:
        console.print(f"The gate is open: {len(FACTS)} facts, {len(gate.frozen(*_folders(root)))} frozen schemas.")
    if troubles:
        raise typer.Exit(Exit.FAILED)


def _freeze(root: Path) -> list[str]:
    try:
        return [str(path.relative_to(root)) for path in freezing.freeze(FACTS, *_folders(root))]
    except freezing.FrozenAlready as refused:
        complain(refused.lines)
        raise typer.Exit(Exit.FAILED) from None


def _gate(root: Path) -> list[str]:
    return gate.problems(FACTS, gate.frozen(*_folders(root)))


def _folders(root: Path) -> tuple[Path, Path]:
    return root / "shared/events/schemas", root / "shared/events/samples"


def _difference(root: Path, path: str, expected: str) -> list[str]:
    target = root / path
    present = target.read_text(encoding="utf-8") if target.exists() else ""
    return list(
        difflib.unified_diff(
            present.splitlines(), expected.splitlines(), f"{path} (committed)", f"{path} (code)", "", "", 2, ""
        )
    )
