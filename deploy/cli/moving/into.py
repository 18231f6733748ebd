"""`mainstay restore-system` and `mainstay import`: an installation comes out of a folder or a repository."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from deploy import environment
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
from deploy.cli.operator import me
from deploy.cli.output import AsJson, Exit, complain, console, print_json, print_table
from deploy.cli.restored import numbers_in
from deploy.moving import repository
from deploy.moving.checking import check
from deploy.moving.folders import Folders
from deploy.moving.installation import opened
from deploy.moving.unpacking import Unpacked, Wishes, unpack
from deploy.progress import Progress
from services.backup.settings import BackupSettings

From = Annotated[str, typer.Argument(metavar="PLACE", help="The backup's folder, or restic:REPOSITORY.")]
Snapshot = Annotated[str, typer.Option(help="Of a repository: which snapshot, by its id; default the newest.")]
OnlyVerify = Annotated[bool, typer.Option("--verify", help="Only check the backup: files, hashes, audit chains.")]


def restore_system(
    place: From,
    snapshot: Snapshot = repository.NEWEST,
    passphrase_file: PassphraseFile = None,
    last_number: Annotated[
        list[str] | None,
        typer.Option(help="The last invoice number that a customer has seen, as MS-2026-000123; once per series."),
    ] = None,
    last_sequence: Annotated[
        list[str] | None,
        typer.Option(help="The last event that a partner has read, as PARTNER_ID=123; once per partner."),
    ] = None,
    old_log: Annotated[
        bool, typer.Option("--old-log", help="The log is that of before: what was told since is read from it.")
    ] = False,
    records: Records = "whole",
    verify: OnlyVerify = False,
    folder_per_service: FolderPerService = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Restore a whole installation from its backup into new databases and a new or the old event log.

    Nothing of it may run meanwhile. A restore that was cut off is done again with the same command.
    """
    wishes = Wishes(
        by=me(),
        passphrase=passphrase_in(passphrase_file),
        last_numbers=numbers_in(last_number or []),
        last_sequences=_sequences(last_sequence or []),
        old_log=old_log,
        records=records,
    )
    _restore(place, snapshot, wishes, each=folder_per_service, only_verify=verify, quiet=quiet, as_json=as_json)


def import_(
    place: From,
    snapshot: Snapshot = repository.NEWEST,
    passphrase_file: PassphraseFile = None,
    verify: OnlyVerify = False,
    folder_per_service: FolderPerService = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Import an export into new databases and a new event log, of any kind, and verify that all of it is there.

    Nothing of it may run meanwhile. An import that was cut off is done again with the same command.
    """
    wishes = Wishes(by=me(), passphrase=passphrase_in(passphrase_file))
    _restore(place, snapshot, wishes, each=folder_per_service, only_verify=verify, quiet=quiet, as_json=as_json)


def _restore(
    place: str, snapshot: str, wishes: Wishes, *, each: bool, only_verify: bool, quiet: bool, as_json: bool
) -> None:
    progress = Progress(quiet=quiet)
    with in_one_line(), _fetched(place, snapshot) as folder:
        if only_verify:
            _verify(folder, progress, as_json=as_json)
            return
        folders = data_folders(each=each)
        with folders.locked():
            done = asyncio.run(_unpack(folder, wishes, folders, progress))
    if done is None:
        _tell_completed(as_json=as_json)
    else:
        _tell_unpacked(done, as_json=as_json)


@contextmanager
def _fetched(place: str, snapshot: str) -> Iterator[Path]:
    """The backup as a folder; one out of a repository is there meanwhile."""
    if not repository.is_repository(place):
        yield Path(place).absolute()
        return
    with repository.staged() as folder:
        asyncio.run(repository.fetch(place, snapshot, folder, environment.read(BackupSettings).restic))
        yield folder


async def _unpack(folder: Path, wishes: Wishes, folders: Folders, progress: Progress) -> Unpacked | None:
    async with opened(folders) as whole:
        return await unpack(whole, folder, wishes, progress)


def _verify(folder: Path, progress: Progress, *, as_json: bool) -> None:
    packed, findings = check(folder, progress)
    if as_json:
        print_json({**summary(packed), "findings": findings})
    elif not findings:
        console.print(f"{folder} is whole: {in_words(packed)}; its audit chains hold and every effect has its cause.")
    if findings:
        complain(findings)
        raise typer.Exit(Exit.FAILED)


def _sequences(given: Sequence[str]) -> dict[UUID, int]:
    found = {}
    for text in given:
        partner, _, sequence = text.partition("=")
        try:
            found[UUID(partner)] = int(sequence)
        except ValueError:
            complain([f"--last-sequence: {text} is not PARTNER_ID=NUMBER."])
            raise typer.Exit(Exit.WRONG_SETTINGS) from None
    return found


def _tell_completed(*, as_json: bool) -> None:
    if as_json:
        print_json({"completed": True})
    else:
        console.print("An earlier try had restored and verified everything; it is complete now.")


def _tell_unpacked(done: Unpacked, *, as_json: bool) -> None:
    if as_json:
        lost = {
            service: [{"type": one.type, "time": one.time, "id": one.id, "data": one.data} for one in forgotten]
            for service, forgotten in done.forgotten.items()
        }
        told = {"epochs": done.epochs, "chains": done.chains, "audit_rows": done.audit_rows, "forgotten": lost}
        print_json({**summary(done.manifest), "appended": done.records, "files_written": done.files, **told})
        return
    rows = [(service, one.type, one.subject, one.time) for service, of in done.forgotten.items() for one in of]
    if rows:
        print_table("Told since and not known any more", ["service", "event", "subject", "told at"], rows)
    console.print(f"Restored and verified: {in_words(done.manifest)}, {done.chains} audit chains.")
    console.print("Every service begins a new epoch. Start them now.")
