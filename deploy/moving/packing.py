"""Writes an installation at one point into a folder: tables, records, files, sealed keys, and last the manifest."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from deploy.moving import files, manifest
from deploy.moving.cut import Snapshot, cut
from deploy.moving.installation import Whole, insist_on_nobody
from deploy.moving.lines import Digest, kind_of, line_of, writing_lines
from deploy.moving.manifest import Manifest, PackedFile, PackedService, PackedTable
from deploy.moving.records import Offsets, Scope, offsets_in, pack_records
from deploy.moving.tables import EMPTIED, hashed_line, tables_of
from deploy.opening import insist_up_to_date
from deploy.progress import Progress
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.kit import migrations
from shared.kit.bus.tables import stream_epoch
from shared.kit.disk import room_on_disk, sync_folder
from shared.kit.signing_keys import SigningKeys
from shared.kit.tables import virtual_clock

UNFINISHED = ".unfinished"


class FolderTaken(Conflict):
    """A backup is written into a folder that does not exist yet."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """`passphrase` seals the keys; None leaves them out. `stopped`: it is refused while a process runs."""

    kind: Literal["backup", "export"]
    passphrase: str | None
    repositories: bool
    records: Scope
    stopped: bool = False


async def pack(whole: Whole, folder: Path, wanted: Wanted, progress: Progress) -> Manifest:
    """Raises FolderTaken, ProcessesRun, NeverStill, CannotOpen, DatabaseAway, LogAway, NoRoom, PassphraseTooShort.

    The folder appears whole or not at all. What an earlier one left unfinished beside it is removed.
    """
    unfinished = folder.with_name(f"{folder.name}{UNFINISHED}")
    with room_on_disk():
        _make(folder, unfinished)
        packed = await _pack(whole, unfinished, wanted, progress)
        manifest.write(unfinished, packed)
        os.rename(unfinished, folder)
        sync_folder(folder.parent)
    progress.end()
    return packed


def _make(folder: Path, unfinished: Path) -> None:
    if folder.exists():
        raise FolderTaken(f"{folder} is there already: name a folder that is not.")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)


async def _pack(whole: Whole, folder: Path, wanted: Wanted, progress: Progress) -> Manifest:
    for runtime in whole.runtimes.values():
        await insist_up_to_date(runtime)
        if wanted.stopped:
            await insist_on_nobody(runtime)
    if wanted.passphrase is not None:
        files.insist_on_length(wanted.passphrase)
    progress.begin("Waiting for a moment in which all stand still")
    async with cut(whole.runtimes) as snapshots:
        made_at = min(snapshot.taken_at for snapshot in snapshots.values())
        offsets = {name: await offsets_in(snapshot) for name, snapshot in snapshots.items()}
        progress.begin("Reading the log")
        records, topics = await pack_records(
            whole.log, snapshots, offsets, folder, scope=wanted.records, progress=progress
        )
        services = [
            await _pack_service(whole, snapshot, offsets[name], folder, progress)
            for name, snapshot in snapshots.items()
        ]
    # After the rows that name them: a file is there before its row is, and stays.
    progress.begin("Copying files")
    with ExitStack() as stack:
        for own in whole.folders.all.values():
            stack.enter_context(SigningKeys(own).in_use())
        keys = _seal_keys(whole, folder, wanted.passphrase)
        listed, size = files.copy_files(whole.folders, folder, repositories=wanted.repositories, progress=progress)
    return Manifest(
        id=new_id(),
        kind=wanted.kind,
        made_at=made_at,
        services=services,
        records=records,
        topics=topics,
        record_scope=wanted.records,
        files=listed,
        file_bytes=size,
        with_repositories=wanted.repositories,
        folder_per_service=whole.folders.each,
        keys=keys,
    )


def _seal_keys(whole: Whole, folder: Path, passphrase: str | None) -> PackedFile | None:
    if passphrase is None:
        return None
    return files.seal(files.keys_of(whole.folders, whole.keys_elsewhere), passphrase, folder / files.KEYS)


async def _pack_service(
    whole: Whole, snapshot: Snapshot, offsets: Offsets, folder: Path, progress: Progress
) -> PackedService:
    runtime = whole.runtimes[snapshot.service]
    tables = []
    for table in tables_of(snapshot.service):
        progress.begin(f"Reading {snapshot.service}.{table.name}")
        tables.append(await _pack_table(snapshot, table, folder, progress))
    moved = await snapshot.reader.scalar(sa.select(virtual_clock.c.offset_microseconds))
    return PackedService(
        name=snapshot.service,
        revision=await migrations.current(runtime.database) or "",
        taken_at=snapshot.taken_at,
        epoch=await snapshot.reader.scalar(sa.select(stream_epoch.c.epoch)) or 1,
        tables=tables,
        offsets=offsets,
        clock_moved=whole.common.clock == "virtual" and bool(moved),
    )


async def _pack_table(snapshot: Snapshot, table: sa.Table, folder: Path, progress: Progress) -> PackedTable:
    path = f"{snapshot.service}/{table.name}.jsonl.gz"
    columns = [(column.name, kind_of(column)) for column in table.columns]
    names = [name for name, _ in columns]
    empty = [names.index(name) for name in EMPTIED.get(table.name, ())]
    hashed = hashed_line(table.name, names)
    digest = Digest()
    with writing_lines(folder / path) as lines:
        async for row in snapshot.connection.rows(table.name, columns):
            for place in empty:
                row[place] = None
            line = line_of(row).encode()
            lines.write(line)
            digest.add(hashed(row, line))
            progress.at(lines.count)
    return PackedTable(
        name=table.name,
        columns=columns,
        file=PackedFile(path=path, lines=lines.count, sha256=lines.sha256),
        digest=digest.text(),
    )
