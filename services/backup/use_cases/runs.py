"""Making one backup and proving it: the intent is kept before, the outcome after, and a crash between is found out."""

from __future__ import annotations

from uuid import UUID

import structlog

from services.backup.db import protections, runs
from services.backup.domain.protection import Place
from services.backup.domain.run import Reason, Run, Sample
from services.backup.gateways import Gateways
from services.backup.gateways.restic import NotInSnapshot, Repository, ResticFailed, ResticMissing, Snapshot
from services.backup.use_cases.protections import ALERT
from shared.events.backup import BackupCompleted, BackupFailed
from shared.kit import audit_trail
from shared.kit.runtime import Runtime
from shared.kit.schedule import cancel_timer

log = structlog.get_logger("backup")


class NotBackedUp(Exception):
    """This attempt did not yield a proven backup."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


async def perform_run(runtime: Runtime, run_id: UUID) -> Reason | None:
    """Back up for the run's slot; the reason when it has to be tried again. Raises RepositoryBusy."""
    async with runtime.database.reading() as reader:
        run = await runs.get(reader, run_id, only_customer=None)
        place = (await protections.get(reader, run.protection_id, only_customer=None)).place
    if not run.is_open:
        return None
    try:
        snapshot, sample_sha256 = await _proven_snapshot(runtime, run, place)
    except NotBackedUp as trouble:
        return await _record_failure(runtime, run_id, trouble.reason)
    except ResticMissing:
        return await _record_failure(runtime, run_id, Reason.RESTIC_MISSING)
    except ResticFailed as trouble:
        log.warning("restic failed", run_id=str(run_id), server_id=str(run.server_id), detail=str(trouble))
        return await _record_failure(runtime, run_id, Reason.RESTIC_FAILED)
    except OSError as trouble:
        log.warning("no backup for want of the disk", run_id=str(run_id), error=repr(trouble))
        return await _record_failure(runtime, run_id, Reason.RESTIC_FAILED)
    await _record_success(runtime, run_id, snapshot, sample_sha256)
    return None


async def _proven_snapshot(runtime: Runtime, run: Run, place: Place) -> tuple[Snapshot, str]:
    gateways: Gateways = runtime.gateways
    restic = gateways.restic_of(place)
    repository = Repository(run.server_id, run.protection_id, place)
    # Where an intent was kept, a run before us may have died after its backup succeeded.
    snapshot = await restic.find(repository, run.tag) if run.sample else None
    sample = run.sample
    if snapshot is None or sample is None:
        sample = await _keep_intent(runtime, run)
        folder = gateways.files.source_folder(run.server_id)
        await restic.back_up(repository, folder, tag=run.tag, at=run.slot_at)
        snapshot = await restic.find(repository, run.tag)
    if snapshot is None:
        raise NotBackedUp(Reason.NOT_FOUND_AGAIN)
    try:
        return snapshot, await _read_back(gateways, run, repository, snapshot, sample)
    except NotBackedUp:
        await restic.forget(repository, snapshot.id)
        raise


async def _keep_intent(runtime: Runtime, run: Run) -> Sample:
    sample: Sample | None = await runtime.gateways.files.sample(run.server_id, run.id)
    if sample is None:
        raise NotBackedUp(Reason.NOTHING_TO_BACK_UP)
    async with runtime.database.transaction() as tx:
        kept = await runs.get_for_update(tx, run.id)
        kept.intend(sample)
        await runs.save(tx, kept)
    return sample


async def _read_back(gateways: Gateways, run: Run, repository: Repository, snapshot: Snapshot, sample: Sample) -> str:
    """The sample's hash as read back from the snapshot; raises NotBackedUp where that is no proof."""
    if snapshot.files < sample.expected_files:
        log.warning("snapshot incomplete", run_id=str(run.id), files=snapshot.files, expected=sample.expected_files)
        raise NotBackedUp(Reason.RESTIC_FAILED)
    try:
        found = await gateways.restic_of(repository.place).hash_of(repository, snapshot.id, sample.path)
    except NotInSnapshot:
        raise NotBackedUp(Reason.SAMPLE_DIFFERS) from None
    # A file replaced while it was backed up is in the snapshot as it was before or as it is now.
    if found not in {sample.sha256, await gateways.files.hash_of(run.server_id, sample.path)}:
        raise NotBackedUp(Reason.SAMPLE_DIFFERS)
    return found


async def _record_success(runtime: Runtime, run_id: UUID, snapshot: Snapshot, sample_sha256: str) -> None:
    async with runtime.database.transaction() as tx:
        protection_id = (await runs.get(tx, run_id, only_customer=None)).protection_id
        protection = await protections.get_for_update(tx, protection_id)
        run = await runs.get_for_update(tx, run_id)
        if run.snapshot_id is not None:
            return
        run.succeed(snapshot_id=snapshot.id, files=snapshot.files, bytes=snapshot.bytes, now=tx.now)
        await runs.save(tx, run)
        protection.record_success(run.id, slot_at=run.slot_at, now=tx.now)
        await protections.save(tx, protection)
        if protection.uncovered_since is None:
            await cancel_timer(tx, ALERT, protection.id)
        audit_trail.record(tx, run.customer_id, "complete-backup", run.id, snapshot_id=snapshot.id)
        tx.publish(
            BackupCompleted(
                customer_id=run.customer_id,
                protection_id=protection.id,
                contract_id=protection.contract_id,
                server_id=run.server_id,
                run_id=run.id,
                slot_at=run.slot_at,
                snapshot_id=snapshot.id,
                files=snapshot.files,
                bytes=snapshot.bytes,
                sample_sha256=sample_sha256,
                place=protection.place.value,
                completed_at=tx.now,
            )
        )


async def _record_failure(runtime: Runtime, run_id: UUID, reason: Reason) -> Reason | None:
    """Told once per reason; None when somebody else succeeded or the slot was given up."""
    async with runtime.database.transaction() as tx:
        run = await runs.get_for_update(tx, run_id)
        if not run.is_open:
            return None
        is_new = run.fail(reason, tx.now)
        await runs.save(tx, run)
        if is_new:
            protection = await protections.get(tx, run.protection_id, only_customer=None)
            audit_trail.record(tx, run.customer_id, "fail-backup", run.id, reason=str(reason))
            tx.publish(
                BackupFailed(
                    customer_id=run.customer_id,
                    protection_id=run.protection_id,
                    contract_id=protection.contract_id,
                    server_id=run.server_id,
                    run_id=run.id,
                    slot_at=run.slot_at,
                    reason=reason.value,
                    failed_at=tx.now,
                )
            )
    return reason
