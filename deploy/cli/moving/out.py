"""`mainstay backup-system` and `mainstay export`: an installation goes into a folder or a repository."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.moving.asked import (
    FolderPerService,
    PassphraseFile,
    Quiet,
    Records,
    data_folders,
    in_one_line,
    in_words,
    passphrase_in,
    summary,
)
from deploy.cli.output import AsJson, Exit, complain, console, print_json
from deploy.moving import repository
from deploy.moving.folders import Folders
from deploy.moving.installation import opened
from deploy.moving.keeping import making_room
from deploy.moving.manifest import Manifest
from deploy.moving.packing import Wanted, pack
from deploy.progress import Progress

Into = Annotated[
    str,
    typer.Argument(metavar="PLACE", help="A folder that does not exist yet, or restic:REPOSITORY, staged in TMPDIR."),
]
WithoutKeys = Annotated[
    bool, typer.Option("--without-keys", help="Leave the keys out: you keep keys/ of the data folder elsewhere.")
]


def backup_system(
    place: Into,
    passphrase_file: PassphraseFile = None,
    without_keys: WithoutKeys = False,
    with_repositories: Annotated[
        bool, typer.Option("--with-repositories", help="Also the repositories of servers' backups in the data folder.")
    ] = False,
    records: Records = "whole",
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="PLACE is a folder of backups: add one, named after its time, and keep so many."),
    ] = None,
    folder_per_service: FolderPerService = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Back up all databases, the event log and the files at one consistent point, while everything runs.

    For the moment in which the point is chosen (milliseconds, two seconds at most) commands and events wait.
    """
    wanted = Wanted(
        kind="backup",
        passphrase=_passphrase(passphrase_file, without_keys=without_keys),
        repositories=with_repositories,
        records=records,
    )
    folders = data_folders(each=folder_per_service)
    with _named(place, keep) as backup:
        packed = _pack(backup, wanted, folders, Progress(quiet=quiet))
    _tell_packed(packed, backup, as_json=as_json)


def export(
    place: Into,
    passphrase_file: PassphraseFile = None,
    without_keys: WithoutKeys = False,
    without_repositories: Annotated[
        bool, typer.Option("--without-repositories", help="Leave the repositories of servers' backups behind.")
    ] = False,
    while_running: Annotated[
        bool, typer.Option("--while-running", help="Although it runs: what it answers from then on stays behind.")
    ] = False,
    folder_per_service: FolderPerService = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Take an installation out whole, to be imported where it goes on: other databases, another event log.

    It is stopped meanwhile, and is not started again afterwards.
    """
    wanted = Wanted(
        kind="export",
        passphrase=_passphrase(passphrase_file, without_keys=without_keys),
        repositories=not without_repositories,
        records="whole",
        stopped=not while_running,
    )
    folders = data_folders(each=folder_per_service)
    with nullcontext() if while_running else folders.locked():
        packed = _pack(place, wanted, folders, Progress(quiet=quiet))
    _tell_packed(packed, place, as_json=as_json)


@contextmanager
def _named(place: str, keep: int | None) -> Iterator[str]:
    """Where this backup goes: the place itself, or a folder in it while the oldest make room."""
    if keep is None:
        yield place
    elif repository.is_repository(place):
        complain(["--keep is for a folder; a repository keeps what `restic forget --tag mainstay-system` says."])
        raise typer.Exit(Exit.WRONG_SETTINGS)
    else:
        with in_one_line(), making_room(Path(place).absolute(), datetime.now(UTC), keep=keep) as backup:
            yield str(backup)


def _pack(place: str, wanted: Wanted, folders: Folders, progress: Progress) -> Manifest:
    with in_one_line():
        if not repository.is_repository(place):
            return asyncio.run(_pack_into(Path(place).absolute(), wanted, folders, progress))
        with repository.staged() as folder:
            return asyncio.run(_pack_into(folder, wanted, folders, progress, keep_in=place))


async def _pack_into(
    folder: Path, wanted: Wanted, folders: Folders, progress: Progress, *, keep_in: str | None = None
) -> Manifest:
    async with opened(folders) as whole:
        packed = await pack(whole, folder, wanted, progress)
        if keep_in is not None:
            progress.begin("Handing it to restic")
            await repository.keep(keep_in, folder, whole.restic)
            progress.end()
    return packed


def _passphrase(file: Path | None, *, without_keys: bool) -> str | None:
    """A backup without keys opens no repository and proves no audit head, so it is never made by accident."""
    if (file is None) == (not without_keys):
        complain(["Say either --passphrase-file FILE, which seals the keys, or --without-keys."])
        raise typer.Exit(Exit.WRONG_SETTINGS)
    return passphrase_in(file)


def _tell_packed(packed: Manifest, place: str, *, as_json: bool) -> None:
    if as_json:
        print_json({**summary(packed), "place": None if repository.is_repository(place) else place})
        return
    console.print(f"{_shown(place)} holds {in_words(packed)}, as of {packed.made_at:%Y-%m-%d %H:%M:%S} UTC.")
    if packed.keys is None:
        complain(["The keys are NOT in it: without keys/ of the data folder nobody can restore from it."])
    if not packed.with_repositories:
        console.print("Repositories of servers' backups are not in it.")


def _shown(place: str) -> str:
    """The address of a repository may have a password in it."""
    return "The repository" if repository.is_repository(place) else place
