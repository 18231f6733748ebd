"""Bringing files back: asked for in writing, done by a job, measured against the agreement's target."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog

from services.backup.db import protections, restores, runs, servers
from services.backup.domain.protection import PURGED
from services.backup.domain.restore import (
    COMPLETED,
    CONTENT_KEPT_FOR,
    REQUESTED,
    NothingToRestore,
    Restore,
    RestoreFailure,
    concluding,
    request_restore,
)
from services.backup.domain.run import NoSuchRun, Run
from services.backup.gateways import Gateways
from services.backup.gateways.restic import NotInSnapshot, Repository, ResticFailed
from shared.events.backup import RestoreCompleted
from shared.kernel.ids import new_id
from shared.kit import audit_trail, decisions
from shared.kit.db import Reader, Transaction
from shared.kit.runtime import Runtime
from shared.kit.schedule import set_timer

PERFORM_RESTORE = "restore.perform"
DISCARD_RESTORE = "restore.discard"
MOST_ATTEMPTS = 10

log = structlog.get_logger("backup")


async def ask_for_restore(
    tx: Transaction,
    *,
    server_id: UUID,
    run_id: UUID | None,
    path: str,
    channel: str,
    only_customer: UUID | None,
) -> Restore:
    """Raises NoSuchServer, NoSuchRun, NothingToRestore, DataNoLongerKept, OralRequest, UnusablePath."""
    server = await servers.get(tx, server_id, only_customer=only_customer)
    run = await _run_to_restore(tx, server.id, run_id, only_customer)
    protection = await protections.get_for_update(tx, run.protection_id)
    restore = request_restore(new_id(), protection, run, path=path, channel=channel, now=tx.now)
    await restores.add(tx, restore)
    await set_timer(tx, PERFORM_RESTORE, restore.id, tx.now)
    audit_trail.record(tx, restore.customer_id, "request-restore", restore.id, run_id=str(run.id), channel=channel)
    return restore


async def perform_restore(runtime: Runtime, restore_id: UUID, *, attempt: int) -> None:
    """Copy the file out and keep the outcome; raises ResticMissing, RepositoryBusy, and ResticFailed to try again."""
    async with runtime.database.reading() as reader:
        restore = await restores.get(reader, restore_id, only_customer=None)
        run = await runs.get(reader, restore.run_id, only_customer=None)
        protection = await protections.get(reader, restore.protection_id, only_customer=None)
    if restore.status != REQUESTED or run.snapshot_id is None:
        return
    gateways: Gateways = runtime.gateways
    repository = Repository(restore.server_id, restore.protection_id, protection.place)
    try:
        if protection.status == PURGED:
            raise ResticFailed("the data is deleted")
        to = gateways.files.restored(restore.id)
        restic = gateways.restic_of(protection.place)
        sha256, size = await restic.restore(repository, run.snapshot_id, restore.path, to)
    except NotInSnapshot:
        await _record_failure(runtime, restore_id, RestoreFailure.NOT_IN_SNAPSHOT)
    except ResticFailed as trouble:
        log.warning("restore failed", restore_id=str(restore_id), attempt=attempt, detail=str(trouble))
        if protection.status == PURGED:
            await _record_failure(runtime, restore_id, RestoreFailure.DATA_DELETED)
        elif attempt >= MOST_ATTEMPTS:
            await _record_failure(runtime, restore_id, RestoreFailure.RESTIC_FAILED)
        else:
            raise
    else:
        await _record_success(runtime, restore_id, sha256, size)


async def discard_restore(runtime: Runtime, restore_id: UUID) -> None:
    """Delete the restored copy; the backup stays."""
    await runtime.gateways.files.discard_restored(restore_id)
    async with runtime.database.transaction() as tx:
        restore = await restores.get_for_update(tx, restore_id)
        if restore.status == COMPLETED:
            restore.discard()
            await restores.save(tx, restore)


async def _run_to_restore(reader: Reader, server_id: UUID, run_id: UUID | None, only_customer: UUID | None) -> Run:
    if run_id is None:
        run = await runs.latest_restorable(reader, server_id)
        if run is None:
            raise NothingToRestore()
        return run
    run = await runs.get(reader, run_id, only_customer=only_customer)
    if run.server_id != server_id:
        raise NoSuchRun()
    return run


async def _record_success(runtime: Runtime, restore_id: UUID, sha256: str, size: int) -> None:
    async with runtime.database.transaction() as tx:
        restore = await restores.get_for_update(tx, restore_id)
        if restore.status != REQUESTED:
            return
        restore.complete(sha256=sha256, bytes=size, now=tx.now)
        await restores.save(tx, restore)
        await set_timer(tx, DISCARD_RESTORE, restore.id, tx.now + CONTENT_KEPT_FOR)
        protection = await protections.get(tx, restore.protection_id, only_customer=None)
        within_target = bool(restore.within_target)
        await _judge(tx, restore, "within-target" if within_target else "late", protection.terms.agreement_version)
        tx.publish(
            RestoreCompleted(
                customer_id=restore.customer_id,
                protection_id=restore.protection_id,
                contract_id=protection.contract_id,
                server_id=restore.server_id,
                restore_id=restore.id,
                run_id=restore.run_id,
                sha256=sha256,
                bytes=size,
                within_target=within_target,
                completed_at=tx.now,
            )
        )


async def _record_failure(runtime: Runtime, restore_id: UUID, reason: RestoreFailure) -> None:
    async with runtime.database.transaction() as tx:
        restore = await restores.get_for_update(tx, restore_id)
        if restore.status != REQUESTED:
            return
        restore.fail(reason, tx.now)
        await restores.save(tx, restore)
        protection = await protections.get(tx, restore.protection_id, only_customer=None)
        await _judge(tx, restore, "failed", protection.terms.agreement_version)


async def _judge(tx: Transaction, restore: Restore, happened: str, agreement_version: str) -> None:
    assert restore.finished_at is not None
    target = restore.due_at - restore.requested_at
    await decisions.judge(
        tx,
        concluding,
        subject_id=restore.id,
        customer_id=restore.customer_id,
        agreement_version=agreement_version,
        parameters={"restore_target_hours": target // timedelta(hours=1)},
        facts={
            "run_id": str(restore.run_id),
            "requested_at": restore.requested_at.isoformat(),
            "finished_at": restore.finished_at.isoformat(),
            "reason": restore.reason,
            "sha256": restore.sha256,
        },
        happened=happened,
    )
    audit_trail.record(tx, restore.customer_id, f"restore-{happened}", restore.id)
