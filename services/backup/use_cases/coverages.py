"""What follows for protections when the contracts service speaks about a service."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from services.backup.db import coverages, protections, remote_applications
from services.backup.domain.coverage import Coverage, Terms
from services.backup.domain.protection import ACTIVE, ENDED, LOCAL, REMOTE, Place, Protection
from services.backup.use_cases.protections import (
    change_protection,
    end_protection,
    resume_protection,
    start_server_protection,
)
from shared.events.contracts import (
    ContractFact,
    ServiceExpired,
    ServiceExtended,
    ServiceHeld,
    ServiceRefunded,
    ServiceRegistered,
    ServiceRenewed,
)
from shared.kit.db import Transaction


async def register_service(tx: Transaction, fact: ServiceRegistered) -> None:
    coverage = await _coverage_of(tx, fact)
    coverage.register(fact.server_ids, _terms(fact))
    await _keep_and_follow(tx, coverage)


async def renew_service(tx: Transaction, fact: ServiceRenewed) -> None:
    coverage = await _coverage_of(tx, fact)
    coverage.renew(_terms(fact))
    await _keep_and_follow(tx, coverage)


async def hold_service(tx: Transaction, fact: ServiceHeld) -> None:
    coverage = await _coverage_of(tx, fact)
    coverage.hold(fact.period_index)
    await _keep_and_follow(tx, coverage)


async def extend_service(tx: Transaction, fact: ServiceExtended) -> None:
    coverage = await _coverage_of(tx, fact)
    coverage.extend(fact.period_index, fact.extended_until)
    await _keep_and_follow(tx, coverage)


async def expire_service(tx: Transaction, fact: ServiceExpired) -> None:
    coverage = await _coverage_of(tx, fact)
    coverage.expire(fact.period_index, ended_at=fact.ended_at, retention_days=fact.retention_days)
    await _keep_and_follow(tx, coverage)


async def refund_service(tx: Transaction, fact: ServiceRefunded) -> None:
    coverage = await _coverage_of(tx, fact)
    coverage.refund(fact.last_period_index, ended_at=fact.ended_at, retention_days=fact.retention_days)
    await _keep_and_follow(tx, coverage)


async def _coverage_of(tx: Transaction, fact: ContractFact) -> Coverage:
    return await coverages.get_or_begin(
        tx, fact.contract_id, customer_id=fact.customer_id, agreement_version=fact.agreement_version
    )


async def _keep_and_follow(tx: Transaction, coverage: Coverage) -> None:
    await coverages.save(tx, coverage)
    await follow(tx, coverage)


async def follow(tx: Transaction, coverage: Coverage) -> None:
    """Bring the protections to what the coverage says, whatever they were before; twice changes nothing.

    To a remote place only what an application was approved for (2.3).
    """
    terms = coverage.followed_terms
    if coverage.server_ids is None or terms is None:
        return
    kept = {(each.server_id, each.place): each for each in await protections.kept_of_contract(tx, coverage.contract_id)}
    remotely = await remote_applications.approved_of_contract(tx, coverage.contract_id)
    for server_id in coverage.server_ids:
        await _follow_at(tx, coverage, server_id, LOCAL, terms.local, kept.get((server_id, LOCAL)))
        if server_id not in remotely:
            continue
        there = kept.get((server_id, REMOTE))
        # Where a period does not tell the interval, that of the one before stands.
        remote = terms.remote
        if remote is None and there is not None:
            remote = replace(terms.local, every_hours=there.terms.every_hours)
        if remote is not None:
            await _follow_at(tx, coverage, server_id, REMOTE, remote, there)


async def _follow_at(
    tx: Transaction, coverage: Coverage, server_id: UUID, place: Place, terms: Terms, protection: Protection | None
) -> None:
    if coverage.ended_at is None:
        if protection is None:
            await start_server_protection(tx, coverage, server_id, terms, place)
            return
        if protection.status == ENDED:
            await resume_protection(tx, protection)
        await change_protection(tx, protection, terms)
    elif protection is not None and protection.status == ACTIVE:
        retention_days = coverage.retention_days or 0
        await end_protection(tx, protection, ended_at=coverage.ended_at, retention_days=retention_days)


def _terms(fact: ServiceRegistered | ServiceRenewed) -> Terms:
    return Terms(
        agreement_version=fact.agreement_version,
        period_index=fact.period_index,
        period_ends_at=fact.ends_at,
        every_hours=fact.local_backup_every_hours,
        restore_target_hours=fact.restore_target_hours,
        retention_days=fact.retention_days,
        remote_every_hours=fact.remote_backup_every_hours,
    )
