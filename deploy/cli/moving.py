"""A whole installation: backed up and restored, or exported from one set-up and imported into another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from deploy import environment
from deploy.cli.operator import me
from deploy.cli.output import AsJson, Exit, complain, console, print_json, print_table
from deploy.cli.restored import numbers_in
from deploy.folder import locked
from deploy.moving import repository
from deploy.moving.checking import check
from deploy.moving.installation import opened
from deploy.moving.manifest import Manifest
from deploy.moving.packing import Wanted, pack
from deploy.moving.records import Scope
from deploy.moving.unpacking import Unpacked, Wishes, unpack
from deploy.progress import Progress
from services.backup.settings import BackupSettings

Into = Annotated[
    str,
    typer.Argument(metavar="PLACE", help="A folder that does not exist yet, or restic:REPOSITORY, staged in TMPDIR."),
]
From = Annotated[str, typer.Argument(metavar="PLACE", help="The backup's folder, or restic:REPOSITORY.")]
Snapshot = Annotated[str, typer.Option(help="Of a repository: which snapshot, by its id; default the newest.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="A file with the passphrase that seals the keys.", exists=True, dir_okay=False),
]
WithoutKeys = Annotated[
    bool, typer.Option("--without-keys", help="Leave the keys out: you keep keys/ of the data folder elsewhere.")
]
Records = Annotated[
    Scope,
    typer.Option("--log", help="Records of the log: all that it still holds, or those that some service has not read."),
]
OnlyVerify = Annotated[bool, typer.Option("--verify", help="Only check the backup: files, hashes, audit chains.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Tell no progress.")]
PANEL = "Look after"


def add_to(app: typer.Typer) -> None:
    app.command("backup-system", rich_help_panel=PANEL)(backup_system)
    app.command("restore-system", rich_help_panel=PANEL)(restore_system)
    app.command("export", rich_help_panel=PANEL)(export)
    app.command("import", rich_help_panel=PANEL)(import_)


def backup_system(
    place: Into,
    passphrase_file: PassphraseFile = None,
    without_keys: WithoutKeys = False,
    with_repositories: Annotated[
        bool, typer.Option("--with-repositories", help="Also the repositories of servers' backups in the data folder.")
    ] = False,
    records: Records = "whole",
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
    _tell_packed(_pack(place, wanted, Progress(quiet=quiet)), place, as_json=as_json)


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
    )
    with ExitStack() as stack:
        if not while_running:
            stack.enter_context(locked(environment.read_common().data_dir.absolute()))
        packed = _pack(place, wanted, Progress(quiet=quiet))
    _tell_packed(packed, place, as_json=as_json)


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
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Restore a whole installation from its backup into new databases and a new or the old event log.

    Nothing of it may run meanwhile. A restore that was cut off is done again with the same command.
    """
    wishes = Wishes(
        by=me(),
        passphrase=_passphrase_in(passphrase_file),
        last_numbers=numbers_in(last_number or []),
        last_sequences=_sequences(last_sequence or []),
        old_log=old_log,
        records=records,
    )
    _restore(place, snapshot, wishes, only_verify=verify, quiet=quiet, as_json=as_json)


def import_(
    place: From,
    snapshot: Snapshot = repository.NEWEST,
    passphrase_file: PassphraseFile = None,
    verify: OnlyVerify = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Import an export into new databases and a new event log, of any kind, and verify that all of it is there.

    Nothing of it may run meanwhile. An import that was cut off is done again with the same command.
    """
    wishes = Wishes(by=me(), passphrase=_passphrase_in(passphrase_file))
    _restore(place, snapshot, wishes, only_verify=verify, quiet=quiet, as_json=as_json)


def _restore(place: str, snapshot: str, wishes: Wishes, *, only_verify: bool, quiet: bool, as_json: bool) -> None:
    progress = Progress(quiet=quiet)
    with _in_one_line(), _fetched(place, snapshot) as folder:
        if only_verify:
            _verify(folder, progress, as_json=as_json)
            return
        with locked(environment.read_common().data_dir.absolute()):
            done = asyncio.run(_unpack(folder, wishes, progress))
    if done is None:
        _tell_completed(as_json=as_json)
    else:
        _tell_unpacked(done, as_json=as_json)


def _pack(place: str, wanted: Wanted, progress: Progress) -> Manifest:
    with _in_one_line():
        if not repository.is_repository(place):
            return asyncio.run(_pack_into(Path(place).absolute(), wanted, progress))
        with repository.staged() as folder:
            return asyncio.run(_pack_into(folder, wanted, progress, keep_in=place))


async def _pack_into(folder: Path, wanted: Wanted, progress: Progress, *, keep_in: str | None = None) -> Manifest:
    async with opened() as whole:
        packed = await pack(whole, folder, wanted, progress)
        if keep_in is not None:
            progress.begin("Handing it to restic")
            await repository.keep(keep_in, folder, whole.restic)
            progress.end()
    return packed


@contextmanager
def _in_one_line() -> Iterator[None]:
    """What the file system refuses, by name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        complain([f"{error.filename}: {error.strerror}."])
        raise typer.Exit(Exit.AWAY) from None


@contextmanager
def _fetched(place: str, snapshot: str) -> Iterator[Path]:
    """The backup as a folder; one out of a repository is there meanwhile."""
    if not repository.is_repository(place):
        yield Path(place).absolute()
        return
    with repository.staged() as folder:
        asyncio.run(repository.fetch(place, snapshot, folder, environment.read(BackupSettings).restic))
        yield folder


async def _unpack(folder: Path, wishes: Wishes, progress: Progress) -> Unpacked | None:
    async with opened() as whole:
        return await unpack(whole, folder, wishes, progress)


def _verify(folder: Path, progress: Progress, *, as_json: bool) -> None:
    packed, findings = check(folder, progress)
    if as_json:
        print_json({**_summary(packed), "findings": findings})
    elif not findings:
        console.print(f"{folder} is whole: {_in_words(packed)}; its audit chains hold and every effect has its cause.")
    if findings:
        complain(findings)
        raise typer.Exit(Exit.FAILED)


def _passphrase(file: Path | None, *, without_keys: bool) -> str | None:
    """A backup without keys opens no repository and proves no audit head, so it is never made by accident."""
    if (file is None) == (not without_keys):
        complain(["Say either --passphrase-file FILE, which seals the keys, or --without-keys."])
        raise typer.Exit(Exit.WRONG_SETTINGS)
    return _passphrase_in(file)


def _passphrase_in(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        complain([f"--passphrase-file: {file} cannot be read ({type(error).__name__})."])
        raise typer.Exit(Exit.WRONG_SETTINGS) from None


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


def _tell_packed(packed: Manifest, place: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_summary(packed))
        return
    console.print(f"{_shown(place)} holds {_in_words(packed)}, as of {packed.made_at:%Y-%m-%d %H:%M:%S} UTC.")
    if packed.keys is None:
        complain(["The keys are NOT in it: without keys/ of the data folder nobody can restore from it."])
    if not packed.with_repositories:
        console.print("Repositories of servers' backups are not in it.")


def _shown(place: str) -> str:
    """The address of a repository may have a password in it."""
    return "The repository" if repository.is_repository(place) else place


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
        print_json({**_summary(done.manifest), "appended": done.records, "files_written": done.files, **told})
        return
    rows = [(service, one.type, one.subject, one.time) for service, of in done.forgotten.items() for one in of]
    if rows:
        print_table("Told since and not known any more", ["service", "event", "subject", "told at"], rows)
    console.print(f"Restored and verified: {_in_words(done.manifest)}, {done.chains} audit chains.")
    console.print("Every service begins a new epoch. Start them now.")


def _in_words(packed: Manifest) -> str:
    return f"{packed.rows:,} rows, {packed.records.lines:,} records, {packed.files.lines:,} files"


def _summary(packed: Manifest) -> dict[str, Any]:
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
