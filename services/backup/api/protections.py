"""Protections of servers, and their runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.backup.api.runs import RunView
from services.backup.db import protections, runs
from services.backup.domain.protection import NoSuchProtection, Place, Protection
from shared.kit.auth import STAFF, Role
from shared.kit.fields import View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read

READERS = STAFF | {Role.CUSTOMER}

router = HouseRouter("/v1/protections", tag="protections")


class LastSuccessView(View):
    run_id: UUID
    slot_at: datetime
    completed_at: datetime


class ProtectionView(View):
    """`overdue`: a due backup is missing for more than the alert time."""

    id: UUID
    contract_id: UUID
    server_id: UUID
    customer_id: UUID
    place: Place
    agreement_version: str
    status: str
    every_hours: int
    restore_target_hours: int
    retention_days: int
    period_index: int
    period_ends_at: datetime
    started_at: datetime
    next_slot_at: datetime | None
    missed_slots: int
    overdue: bool
    last_success: LastSuccessView | None
    ended_at: datetime | None
    retain_until: datetime | None
    data_deleted_at: datetime | None

    @classmethod
    def of(cls, protection: Protection, now: datetime) -> ProtectionView:
        terms = protection.terms
        return cls(
            id=protection.id,
            contract_id=protection.contract_id,
            server_id=protection.server_id,
            customer_id=protection.customer_id,
            place=protection.place,
            agreement_version=terms.agreement_version,
            status=protection.status,
            every_hours=terms.every_hours,
            restore_target_hours=terms.restore_target_hours,
            retention_days=terms.retention_days,
            period_index=terms.period_index,
            period_ends_at=terms.period_ends_at,
            started_at=protection.started_at,
            next_slot_at=protection.next_slot_at,
            missed_slots=protection.missed_slots,
            overdue=protection.is_overdue(now),
            last_success=_last_success(protection),
            ended_at=protection.ended_at,
            retain_until=protection.retain_until,
            data_deleted_at=protection.data_deleted_at,
        )


def _last_success(protection: Protection) -> LastSuccessView | None:
    run_id, slot_at = protection.last_success_run_id, protection.last_success_slot_at
    completed_at = protection.last_success_at
    if run_id is None or slot_at is None or completed_at is None:
        return None
    return LastSuccessView(run_id=run_id, slot_at=slot_at, completed_at=completed_at)


@router.get("", callers=READERS)
async def list_protections(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    contract_id: Annotated[UUID | None, Query()] = None,
    server_id: Annotated[UUID | None, Query()] = None,
) -> Page[ProtectionView]:
    """Protections the caller may see, oldest first."""
    found = await protections.page(
        reader,
        only_customer=caller.only_customer,
        contract_id=contract_id,
        server_id=server_id,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, lambda each: ProtectionView.of(each, reader.now), lambda each: each.id)


@router.get("/{protection_id}", callers=READERS, refusals=[NoSuchProtection])
async def read_protection(protection_id: UUID, reader: Read, caller: CallerIn) -> ProtectionView:
    """One protection: terms, schedule, last success and whether a backup is missing."""
    found = await protections.get(reader, protection_id, only_customer=caller.only_customer)
    return ProtectionView.of(found, reader.now)


@router.get("/{protection_id}/runs", callers=READERS, refusals=[NoSuchProtection])
async def list_runs(protection_id: UUID, reader: Read, caller: CallerIn, paging: Paging) -> Page[RunView]:
    """The protection's runs, oldest first."""
    protection = await protections.get(reader, protection_id, only_customer=caller.only_customer)
    found = await runs.page(reader, protection.id, after=paging.after, limit=paging.limit)
    return paging.page(found, RunView.model_validate, lambda each: each.id)
