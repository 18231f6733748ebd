"""What all commands that move an installation are asked, and how they tell of a backup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy import environment
from deploy.cli.output import Exit, complain
from deploy.moving.folders import Folders
from deploy.moving.manifest import Manifest
from deploy.moving.records import Scope

PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="A file with the passphrase that seals the keys.", exists=True, dir_okay=False),
]
Records = Annotated[
    Scope,
    typer.Option("--log", help="Records of the log: all that it still holds, or those that some service has not read."),
]
FolderPerService = Annotated[
    bool,
    typer.Option(
        "--folder-per-service", help="The data folder holds one for each service, billing/ and so on: their volumes."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Tell no progress.")]


def data_folders(*, each: bool) -> Folders:
    """Raises WrongSettings."""
    return Folders(environment.read_common().data_dir.absolute(), each)


@contextmanager
def in_one_line() -> Iterator[None]:
    """What the file system refuses, by name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        complain([f"{error.filename}: {error.strerror}."])
        raise typer.Exit(Exit.AWAY) from None


def passphrase_in(file: Path | None) -> str | None:
    """A file that cannot be read ends the command."""
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        complain([f"--passphrase-file: {file} cannot be read ({type(error).__name__})."])
        raise typer.Exit(Exit.WRONG_SETTINGS) from None


def in_words(packed: Manifest) -> str:
    return f"{packed.rows:,} rows, {packed.records.lines:,} records, {packed.files.lines:,} files"


def summary(packed: Manifest) -> dict[str, Any]:
    return {
        "id": packed.id,
        "kind": packed.kind,
        "made_at": packed.made_at,
        "rows": packed.rows,
        "records": packed.records.lines,
        "files": packed.files.lines,
        "bytes": packed.file_bytes,
        "keys": packed.keys is not None,
        "repositories": packed.with_repositories,
        "services": {
            service.name: {
                "revision": service.revision,
                "tables": {table.name: table.file.lines for table in service.tables},
            }
            for service in packed.services
        },
    }
