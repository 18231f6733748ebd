"""Remote backup is applied for, approved or declined, and given up (2.3)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.backup.db import coverages, protections, remote_applications, servers
from services.backup.domain.coverage import Coverage
from services.backup.domain.protection import ACTIVE, REMOTE
from services.backup.domain.remote_application import (
    DeclineReason,
    IntervalUnknown,
    NoRemotePlace,
    NotServed,
    RemoteApplication,
    deciding,
    in_writing,
)
from services.backup.use_cases.coverages import follow
from services.backup.use_cases.protections import end_protection
from shared.events.backup import (
    RemoteBackupApplied,
    RemoteBackupApproved,
    RemoteBackupDeclined,
    RemoteBackupEnded,
)
from shared.kernel.ids import new_id
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


async def apply_for_remote(
    tx: Transaction, *, server_id: UUID, channel: str, only_customer: UUID | None
) -> RemoteApplication:
    """Raises NoSuchServer, OralRequest, NotServed, AlreadyApplied."""
    server = await servers.get(tx, server_id, only_customer=only_customer)
    in_writing(channel)
    contract_id = await protections.contract_serving(tx, server.id)
    if contract_id is None:
        raise NotServed(field="server_id")
    coverage = await coverages.get_for_update(tx, contract_id)
    application = RemoteApplication(
        id=new_id(),
        contract_id=contract_id,
        server_id=server.id,
        customer_id=server.customer_id,
        agreement_version=coverage.agreement_version,
        channel=channel,
        applied_by=tx.actor,
        applied_at=tx.now,
    )
    await remote_applications.add(tx, application)
    tx.publish(RemoteBackupApplied(**ids_of(application), applied_at=tx.now))
    audit_trail.record(tx, server.customer_id, "apply-for-remote-backup", application.id, channel=channel)
    return application


async def approve_application(tx: Transaction, application_id: UUID, *, has_place: bool) -> RemoteApplication:
    """From now on the server is backed up to the remote place as well.

    Raises NoSuchApplication, NoRemotePlace, NotServed, IntervalUnknown, IllegalMove.
    """
    coverage, application = await _locked(tx, application_id)
    application.approve(by=tx.actor, now=tx.now)
    if not has_place:
        raise NoRemotePlace(agreement_version=coverage.agreement_version)
    terms = coverage.followed_terms
    if not coverage.is_running or terms is None:
        raise NotServed(agreement_version=coverage.agreement_version)
    if terms.remote is None:
        raise IntervalUnknown(agreement_version=coverage.agreement_version)
    await remote_applications.save(tx, application)
    await _decide(tx, coverage, application, every_hours=terms.remote.every_hours, happened="approved")
    approved = RemoteBackupApproved(**ids_of(application), every_hours=terms.remote.every_hours, approved_at=tx.now)
    tx.publish(approved)
    await follow(tx, coverage)
    return application


async def decline_application(tx: Transaction, application_id: UUID, reason: DeclineReason) -> RemoteApplication:
    """Raises NoSuchApplication, IllegalMove."""
    coverage, application = await _locked(tx, application_id)
    application.decline(reason, by=tx.actor, now=tx.now)
    await remote_applications.save(tx, application)
    terms = coverage.followed_terms
    hours = None if terms is None else terms.remote_every_hours
    await _decide(tx, coverage, application, every_hours=hours, happened="declined")
    tx.publish(RemoteBackupDeclined(**ids_of(application), reason=reason.value, declined_at=tx.now))
    return application


async def give_up_application(
    tx: Transaction, application_id: UUID, *, channel: str, only_customer: UUID | None
) -> RemoteApplication:
    """The customer wants no remote backup (any more): its data stays for the agreement's days, then it is deleted.

    Raises NoSuchApplication, OralRequest, IllegalMove.
    """
    await remote_applications.get(tx, application_id, only_customer=only_customer)
    in_writing(channel)
    coverage, application = await _locked(tx, application_id)
    application.give_up(tx.now)
    await remote_applications.save(tx, application)
    for protection in await protections.kept_of_contract(tx, coverage.contract_id):
        mine = (protection.server_id, protection.place) == (application.server_id, REMOTE)
        if mine and protection.status == ACTIVE:
            await end_protection(tx, protection, ended_at=tx.now, retention_days=protection.terms.retention_days)
    tx.publish(RemoteBackupEnded(**ids_of(application), ended_at=tx.now))
    audit_trail.record(tx, application.customer_id, "give-up-remote-backup", application.id, channel=channel)
    return application


def ids_of(application: RemoteApplication) -> dict[str, Any]:
    """What every fact about an application says."""
    return {
        "customer_id": application.customer_id,
        "application_id": application.id,
        "contract_id": application.contract_id,
        "server_id": application.server_id,
        "agreement_version": application.agreement_version,
    }


async def _locked(tx: Transaction, application_id: UUID) -> tuple[Coverage, RemoteApplication]:
    """The coverage before its applications, as everybody locks them."""
    seen = await remote_applications.get(tx, application_id, only_customer=None)
    coverage = await coverages.get_for_update(tx, seen.contract_id)
    return coverage, await remote_applications.get_for_update(tx, application_id)


async def _decide(
    tx: Transaction, coverage: Coverage, application: RemoteApplication, *, every_hours: int | None, happened: str
) -> None:
    await decisions.judge(
        tx,
        deciding,
        subject_id=application.id,
        customer_id=application.customer_id,
        agreement_version=coverage.agreement_version,
        parameters={"remote_backup_every_hours": every_hours},
        facts={
            "contract_id": str(application.contract_id),
            "server_id": str(application.server_id),
            "channel": application.channel,
            "served": coverage.is_running,
            "every_hours": every_hours,
            "reason": application.reason and application.reason.value,
        },
        happened=happened,
    )
    audit_trail.record(tx, application.customer_id, f"remote-backup-{happened}", application.id)
