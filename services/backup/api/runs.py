"""Single runs, and what their snapshots hold."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.backup.db import protections, runs
from services.backup.domain.protection import DataNoLongerKept
from services.backup.domain.restore import NothingToRestore
from services.backup.domain.run import NoSuchRun
from services.backup.gateways.restic import MOST_LISTED, Repository, ResticFailed, ResticMissing
from shared.kernel.errors import Unavailable
from shared.kit.auth import STAFF, Role
from shared.kit.fields import View
from shared.kit.routing import CallerIn, HouseRouter, Read, RuntimeIn, in_time

READERS = STAFF | {Role.CUSTOMER}
LISTINGS_AT_ONCE = 2

router = HouseRouter("/v1/runs", tag="runs")


class SnapshotUnreadable(Unavailable):
    """The backup cannot be listed at the moment; try again later."""


class RunView(View):
    """`reason` is why the last attempt failed; a missed run's slot was given up for a later one."""

    id: UUID
    protection_id: UUID
    server_id: UUID
    slot_at: datetime
    status: str
    reason: str | None
    attempts: int
    snapshot_id: str | None
    files: int | None
    bytes: int | None
    failed_at: datetime | None
    completed_at: datetime | None


class SnapshotFileView(View):
    path: str
    bytes: int


class SnapshotFilesView(View):
    """The first files of the snapshot; `complete` is false when it holds more."""

    items: list[SnapshotFileView]
    complete: bool


_listings = 0


@router.get("/{run_id}", callers=READERS, refusals=[NoSuchRun])
async def read_run(run_id: UUID, reader: Read, caller: CallerIn) -> RunView:
    """One run."""
    return RunView.model_validate(await runs.get(reader, run_id, only_customer=caller.only_customer))


@router.get(
    "/{run_id}/files",
    callers=READERS,
    refusals=[NoSuchRun, NothingToRestore, DataNoLongerKept, SnapshotUnreadable],
    holds_reader=False,
)
async def list_snapshot_files(run_id: UUID, caller: CallerIn, runtime: RuntimeIn) -> SnapshotFilesView:
    """What can be restored from this run."""
    global _listings
    async with in_time(), runtime.database.reading() as reader:
        run = await runs.get(reader, run_id, only_customer=caller.only_customer)
        protection = await protections.get(reader, run.protection_id, only_customer=None)
    protection.require_data()
    if run.snapshot_id is None:
        raise NothingToRestore(f"That run is {run.status}.")
    # Each listing is a process of its own; a crowd of them would starve the backups.
    if _listings >= LISTINGS_AT_ONCE:
        raise SnapshotUnreadable()
    _listings += 1
    try:
        repository = Repository(run.server_id, run.protection_id, protection.place)
        found = await runtime.gateways.restic_of(protection.place).files(repository, run.snapshot_id)
    except (ResticFailed, ResticMissing) as error:
        raise SnapshotUnreadable() from error
    finally:
        _listings -= 1
    items = [SnapshotFileView.model_validate(each) for each in found]
    return SnapshotFilesView(items=items, complete=len(items) < MOST_LISTED)
