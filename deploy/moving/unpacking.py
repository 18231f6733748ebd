"""Puts a backup into an installation that has nothing yet: all of it or, when it is cut off, something that goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from deploy.moving import files
from deploy.moving.checking import check
from deploy.moving.installation import Whole, insist_on_nobody
from deploy.moving.loading import LogNow, NotAsPacked, insist_on_empty, load
from deploy.moving.manifest import Manifest, NotWhole, PackedService
from deploy.moving.mark import Mark, mark_of, put_mark, take_mark_off
from deploy.moving.records import Scope, append_records
from deploy.progress import Progress
from deploy.services import memory_of, told_by
from deploy.trails import sign_where_chains_are, verify_trail
from services.billing.db import numbering
from services.billing.domain.invoice import Number
from services.notify.db import feeds
from shared.events.envelope import Envelope
from shared.events.registry import TOPICS
from shared.kernel.errors import Conflict, Invalid
from shared.kit import audit_trail, migrations
from shared.kit.bus import outbox, restoring
from shared.kit.bus.kafka_log import partition_of
from shared.kit.bus.log import EventLog, Partition, stable_hash
from shared.kit.bus.restoring import Restored
from shared.kit.bus.sql_log import SqlLog
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime


class KeysMissing(Invalid):
    """The keys of the installation are needed before its data can be restored."""


class FolderForEach(Conflict):
    """This backup has a folder for each service."""


class ClockMoved(Conflict):
    """This installation's clock was moved ahead of real time."""


class LogNotEmpty(Conflict):
    """The event log holds records already."""


class LaterRevision(Conflict):
    """This backup was made by a later version of Mainstay."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the operator knows besides the backup.

    `by` is who asks for it; `last_numbers` and `last_sequences` were seen by customers and by partners (by id) after
    the backup was made; `old_log`: the log is that of before, and says itself what was told since.
    """

    by: str
    passphrase: str | None = None
    last_numbers: Sequence[Number] = ()
    last_sequences: Mapping[UUID, int] = field(default_factory=dict)
    old_log: bool = False
    records: Scope = "whole"


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """`epochs` and `forgotten` by service; chains and audit rows were verified after the last row was there."""

    manifest: Manifest
    records: int
    files: int
    epochs: Mapping[str, int]
    forgotten: Mapping[str, Sequence[Envelope]]
    chains: int
    audit_rows: int


async def unpack(whole: Whole, folder: Path, wishes: Wishes, progress: Progress) -> Unpacked | None:
    """None when an earlier try had done all but the last step, which is done now.

    Raises NotWhole, FolderForEach, TargetNotEmpty, LogNotEmpty, ProcessesRun, KeysMissing, WrongPassphrase,
    AnotherFileThere, ClockMoved, LaterRevision, DatabaseAway, LogAway, NoRoom. No process of the installation may run
    meanwhile.
    """
    packed, findings = check(folder, progress)
    if findings:
        raise NotWhole("\n".join(findings))
    marks = {name: await mark_of(runtime.database) for name, runtime in whole.runtimes.items()}
    if any(mark == Mark(packed.id, "whole") for mark in marks.values()):
        await _take_marks_off(whole)
        return None
    await _insist_on_room(whole, packed, marks, wishes)
    files.insist_on_room_for(folder, whole.folders, packed_each=packed.folder_per_service)
    _put_keys(whole, folder, packed, wishes.passphrase)
    unpacked = await _unpack(whole, folder, packed, marks, wishes, progress)
    for runtime in whole.runtimes.values():
        await put_mark(runtime.database, Mark(packed.id, "whole"))
    await _take_marks_off(whole)
    progress.end()
    return unpacked


async def _unpack(
    whole: Whole,
    folder: Path,
    packed: Manifest,
    marks: Mapping[str, Mark | None],
    wishes: Wishes,
    progress: Progress,
) -> Unpacked:
    """Under marks; what an earlier try has finished is not done again, and the rest may be done twice."""
    to_load = [runtime for name, runtime in whole.runtimes.items() if marks[name] != Mark(packed.id, "loaded")]
    log = await _log_now(whole, packed)
    for runtime in to_load:
        await put_mark(runtime.database, Mark(packed.id, "loading"))
    progress.begin("Copying files")
    written = files.put_files(folder, whole.folders, packed_each=packed.folder_per_service, progress=progress)
    for runtime in to_load:
        of_service = packed.service(runtime.name)
        await _bring_to(runtime, of_service.revision)
        await load(runtime.database, folder, of_service, log, progress)
    begun = {}
    for name, runtime in whole.runtimes.items():
        progress.begin(f"Beginning a new epoch of {name}")
        await _bring_up_to_date(runtime)
        begun[name] = await _begin_anew(runtime, whole.log, packed, wishes)
    progress.begin("Putting records on the log")
    scope: Scope = "unread" if wishes.old_log else wishes.records
    appended = await append_records(whole.log, folder, scope=scope, of=packed.records.lines, progress=progress)
    chains, rows = await _verify_trails(whole, progress)
    return Unpacked(
        manifest=packed,
        records=appended,
        files=written,
        epochs={name: found.epoch for name, found in begun.items()},
        forgotten={name: found.forgotten for name, found in begun.items()},
        chains=chains,
        audit_rows=rows,
    )


async def _insist_on_room(whole: Whole, packed: Manifest, marks: Mapping[str, Mark | None], wishes: Wishes) -> None:
    """Everything that can be refused is refused before anything is changed."""
    if packed.folder_per_service and not whole.folders.each:
        raise FolderForEach(
            f"Each service had a data folder of its own, with an audit key in it, when this {packed.kind} was made, "
            "and those do not become one: say --folder-per-service."
        )
    for service in packed.services:
        runtime = whole.runtimes[service.name]
        if service.clock_moved and whole.common.clock != "virtual":
            raise ClockMoved(
                f"The clock of this {packed.kind}'s {service.name} was moved ahead of real time, and this installation "
                "runs on the system clock: what was dated in the future would wait for it. Set MAINSTAY_CLOCK=virtual."
            )
        await insist_on_nobody(runtime)
        if marks[service.name] is None:
            await _insist_on_new(runtime, service)
    if not any(marks.values()) and not wishes.old_log:
        await _insist_on_empty_log(whole.log, {*TOPICS, *packed.topics})


async def _insist_on_new(runtime: Runtime, packed: PackedService) -> None:
    if not migrations.knows(runtime.migrations, packed.revision):
        raise LaterRevision(
            f"{runtime.name} was at revision {packed.revision}, which this version of Mainstay does not know: "
            "restore with the version that made the backup, or a later one."
        )
    await insist_on_empty(runtime.database, runtime.name)


async def _bring_to(runtime: Runtime, revision: str) -> None:
    """The tables as they were when the backup was made; there is nothing in them."""
    now = await migrations.current(runtime.database)
    if now not in (None, revision):
        await migrations.downgrade(runtime.database, runtime.migrations)
    await migrations.upgrade(runtime.database, runtime.migrations, revision)


async def _bring_up_to_date(runtime: Runtime) -> None:
    """As far as this version needs it to start; what may wait keeps the way back to the version of the backup open."""
    await migrations.upgrade(runtime.database, runtime.migrations)
    if migrations.lacking(await migrations.pending(runtime.database, runtime.migrations)):
        await migrations.upgrade(runtime.database, runtime.migrations, contract=True)


async def _insist_on_empty_log(log: EventLog, topics: Collection[str]) -> None:
    await log.ensure_topics(topics)
    for place, (oldest, end) in sorted((await log.bounds(topics)).items()):
        if oldest < end:
            raise LogNotEmpty(
                f"The event log holds records of {place.topic} already. Name a new log, or delete those topics; if it "
                "is that of the installation to be restored, say --old-log: what was told since is read from it."
            )


def _put_keys(whole: Whole, folder: Path, packed: Manifest, passphrase: str | None) -> None:
    if packed.keys is not None:
        if passphrase is None:
            raise KeysMissing("This backup holds keys that are sealed: name the --passphrase-file.")
        keys = files.unseal(folder / packed.keys.path, passphrase)
        files.put_keys(keys, whole.folders, whole.keys_elsewhere)
        return
    for own in whole.folders.all.values():
        if not (own / files.KEY_FOLDER / "audit.pem").is_file():
            raise KeysMissing(
                f"This backup holds no keys: put those of the installation into {own / files.KEY_FOLDER} first. "
                "Without them no audit head can be verified and no remote or local repository opened."
            )


async def _log_now(whole: Whole, packed: Manifest) -> LogNow:
    await whole.log.ensure_topics({*packed.topics, *TOPICS})
    bounds = await whole.log.bounds(TOPICS)
    counts = Counter(place.topic for place in bounds)
    is_sql = isinstance(whole.log, SqlLog)

    def place_of(topic: str, key: str) -> int:
        if topic not in counts:
            return 0
        return stable_hash(key) % counts[topic] if is_sql else partition_of(key, counts[topic])

    ends: dict[Partition, int] = {place: bound.end for place, bound in bounds.items()}
    return LogNow(ends, place_of)


async def _begin_anew(runtime: Runtime, log: EventLog, packed: Manifest, wishes: Wishes) -> Restored:
    """A higher epoch, and numbers that go on behind what was seen since the backup."""

    async def audit(tx: Transaction, found: Restored) -> None:
        if runtime.name == "billing":
            for number in wishes.last_numbers:
                await numbering.go_on_after(tx, number)
        if runtime.name == "notify":
            for partner_id, sequence in wishes.last_sequences.items():
                await feeds.go_on_after(tx, partner_id, sequence)
        tx.actor = wishes.by
        kinds = Counter(one.type for one in found.forgotten)
        audit_trail.record(
            tx,
            None,
            "restored-system",
            UUID(int=0),
            backup=str(packed.id),
            made_at=packed.made_at.isoformat(),
            epoch=found.epoch,
            forgotten=dict(kinds),
            last_numbers=[str(number) for number in wishes.last_numbers],
            last_sequences={str(partner): sequence for partner, sequence in wishes.last_sequences.items()},
        )

    if wishes.old_log:
        topics, memory = told_by(runtime.name), memory_of(runtime.name)
        return await restoring.restore(runtime.database, log, runtime.name, topics, memory, audit)
    async with runtime.database.transaction() as tx:
        found = Restored(await outbox.bump_epoch(tx), ())
        await audit(tx, found)
    return found


async def _verify_trails(whole: Whole, progress: Progress) -> tuple[int, int]:
    """Number of chains and of rows; raises NotAsPacked, naming the first links that do not hold."""
    chains = rows = 0
    for name, runtime in whole.runtimes.items():
        progress.begin(f"Verifying the audit trail of {name}")
        await sign_where_chains_are(runtime)
        sealer = audit_trail.Sealer(runtime.database, name, runtime.data_dir)
        while await sealer.seal():
            continue
        of_service, its_rows, breaks = await verify_trail(runtime)
        if breaks:
            raise NotAsPacked("\n".join(f"{name}: {one}" for one in breaks))
        chains, rows = chains + of_service, rows + its_rows
    return chains, rows


async def _take_marks_off(whole: Whole) -> None:
    for runtime in whole.runtimes.values():
        await take_mark_off(runtime.database)
