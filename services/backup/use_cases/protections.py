"""Starting, changing and ending protections, their slots, and the end of their data."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from services.backup.db import protections, restores, runs
from services.backup.domain.coverage import Coverage, Terms
from services.backup.domain.protection import (
    ACTIVE,
    LOCAL,
    PURGED,
    REMOTE,
    Place,
    Protection,
    ending,
    purging,
    resuming,
    start_protection,
    starting,
)
from services.backup.domain.run import Run
from services.backup.gateways.restic import Repository
from services.backup.use_cases import alerts
from shared.events.backup import BackupDataDeleted, ProtectionEnded, ProtectionStarted
from shared.kernel.ids import new_id
from shared.kernel.judgement import Judgement
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime
from shared.kit.schedule import cancel_timer, set_timer

SLOT_DUE = "protection.slot-due"
ALERT = "protection.alert"
RETENTION_ENDS = "protection.retention-ends"
PERFORM_RUN = "run.perform"
DELETE_REPOSITORY = "repository.delete"


async def start_server_protection(
    tx: Transaction, coverage: Coverage, server_id: UUID, terms: Terms, place: Place = LOCAL
) -> None:
    """To a remote place by whoever has seen that its application is approved."""
    protection = start_protection(
        new_id(),
        contract_id=coverage.contract_id,
        server_id=server_id,
        customer_id=coverage.customer_id,
        terms=terms,
        place=place,
        now=tx.now,
    )
    await protections.add(tx, protection)
    await _begin(tx, protection, starting, "started", application_approved=place is REMOTE)


async def resume_protection(tx: Transaction, protection: Protection) -> None:
    """The service was reinstated while the data was still kept."""
    data_kept = protection.status is not PURGED
    protection.resume(tx.now)
    await protections.save(tx, protection)
    await cancel_timer(tx, RETENTION_ENDS, protection.id)
    await _begin(tx, protection, resuming, "resumed", data_kept=data_kept)


async def change_protection(tx: Transaction, protection: Protection, terms: Terms) -> None:
    """A new period's terms; nothing when they are the present ones."""
    if not protection.change_terms(terms):
        return
    await protections.save(tx, protection)
    if protection.next_slot_at is not None:
        await set_timer(tx, SLOT_DUE, protection.id, protection.next_slot_at)
    audit_trail.record(tx, protection.customer_id, "change-protection", protection.id, period_index=terms.period_index)


async def end_protection(tx: Transaction, protection: Protection, *, ended_at: datetime, retention_days: int) -> None:
    """No new runs; the data stays until the retention period is over."""
    protection.end(ended_at=ended_at, retention_days=retention_days)
    await protections.save(tx, protection)
    assert protection.retain_until is not None
    await _give_up_open_runs(tx, protection)
    await cancel_timer(tx, SLOT_DUE, protection.id)
    await cancel_timer(tx, ALERT, protection.id)
    await set_timer(tx, RETENTION_ENDS, protection.id, protection.retain_until)
    retain_until = protection.retain_until.isoformat()
    await _judge(tx, protection, ending, "ended", ended_at=ended_at.isoformat(), retain_until=retain_until)
    tx.publish(
        ProtectionEnded(**_named(protection), ended_at=ended_at, retain_until=protection.retain_until),
    )


async def take_due_slot(tx: Transaction, protection_id: UUID) -> None:
    """Make the run of the slot that is due: one per slot, and one for the latest after a jump of the clock."""
    protection = await protections.get_for_update(tx, protection_id)
    slot = protection.take_due_slot(tx.now)
    if slot is not None:
        await protections.save(tx, protection)
        await _give_up_open_runs(tx, protection)
        run = Run(
            id=new_id(),
            protection_id=protection.id,
            server_id=protection.server_id,
            customer_id=protection.customer_id,
            slot_at=slot.at,
        )
        if await runs.add_once(tx, run):
            await set_timer(tx, PERFORM_RUN, run.id, slot.at)
        if slot.passed_by:
            alerts.alert_missed_slots(protection, slot)
            audit_trail.record(tx, protection.customer_id, "miss-slots", protection.id, missed=slot.passed_by)
    await _await_next(tx, protection)


async def alert_if_overdue(tx: Transaction, protection_id: UUID) -> None:
    protection = await protections.get_for_update(tx, protection_id)
    if protection.is_overdue(tx.now):
        alerts.alert_overdue(protection)
        audit_trail.record(tx, protection.customer_id, "miss-backup", protection.id)


async def end_retention(tx: Transaction, protection_id: UUID) -> None:
    """From now on nothing can be restored; deleting the data is a job of its own."""
    protection = await protections.get_for_update(tx, protection_id)
    if not protection.may_be_purged(tx.now):
        return
    protection.purge()
    await protections.save(tx, protection)
    await set_timer(tx, DELETE_REPOSITORY, protection.id, tx.now)
    assert protection.ended_at is not None
    since = {"ended_at": protection.ended_at.isoformat(), "purged_at": tx.now.isoformat()}
    await _judge(tx, protection, purging, "retention-over", **since)


async def delete_repository(runtime: Runtime, protection_id: UUID) -> None:
    """Delete backups and restored copies, then tell; a repetition finds them gone."""
    async with runtime.database.reading() as reader:
        protection = await protections.get(reader, protection_id, only_customer=None)
        copies = await restores.completed_of_protection(reader, protection_id)
    if protection.status != PURGED or protection.data_deleted_at is not None:
        return
    repository = Repository(protection.server_id, protection.id, protection.place)
    await runtime.gateways.restic_of(protection.place).delete(repository)
    for copy in copies:
        await runtime.gateways.files.discard_restored(copy.id)
    async with runtime.database.transaction() as tx:
        protection = await protections.get_for_update(tx, protection_id)
        if not protection.record_deletion(tx.now):
            return
        await protections.save(tx, protection)
        audit_trail.record(tx, protection.customer_id, "delete-backup-data", protection.id)
        tx.publish(BackupDataDeleted(**_named(protection), deleted_at=tx.now))


async def _begin(tx: Transaction, protection: Protection, judgement: Judgement, happened: str, **facts: object) -> None:
    await set_timer(tx, SLOT_DUE, protection.id, tx.now)
    served = protection.status is ACTIVE
    every_hours = protection.every // timedelta(hours=1)
    await _judge(tx, protection, judgement, happened, served=served, every_hours=every_hours, **facts)
    tx.publish(
        ProtectionStarted(
            **_named(protection),
            every_hours=protection.terms.every_hours,
            place=protection.place.value,
            started_at=tx.now,
        ),
    )


async def _await_next(tx: Transaction, protection: Protection) -> None:
    look_again_at = protection.look_again_at(tx.now)
    if look_again_at is not None:
        await set_timer(tx, SLOT_DUE, protection.id, look_again_at)
        if protection.alert_at is not None:
            await set_timer(tx, ALERT, protection.id, protection.alert_at)


async def _give_up_open_runs(tx: Transaction, protection: Protection) -> None:
    for run in await runs.open_of_protection(tx, protection.id):
        run.give_up()
        await runs.save(tx, run)
        await cancel_timer(tx, PERFORM_RUN, run.id)


async def _judge(tx: Transaction, protection: Protection, judgement: Judgement, happened: str, **facts: object) -> None:
    await decisions.judge(
        tx,
        judgement,
        subject_id=protection.id,
        customer_id=protection.customer_id,
        agreement_version=protection.terms.agreement_version,
        parameters=protection.parameters(),
        facts={
            "contract_id": str(protection.contract_id),
            "server_id": str(protection.server_id),
            "place": protection.place.value,
            **facts,
        },
        happened=happened,
    )
    audit_trail.record(tx, protection.customer_id, f"protection-{happened}", protection.id)


def _named(protection: Protection) -> dict[str, UUID]:
    return {
        "customer_id": protection.customer_id,
        "protection_id": protection.id,
        "contract_id": protection.contract_id,
        "server_id": protection.server_id,
    }
