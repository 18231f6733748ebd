"""Coverages: rows to domain objects and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Row

from services.backup.db.tables import coverages
from services.backup.domain.coverage import Coverage, Terms
from shared.kernel.errors import StaleWrite
from shared.kit.db import Transaction


async def get_or_begin(tx: Transaction, contract_id: UUID, *, customer_id: UUID, agreement_version: str) -> Coverage:
    """The coverage of that contract, locked; an empty one if nothing was heard of it before."""
    fresh = {
        "contract_id": contract_id,
        "customer_id": customer_id,
        "agreement_version": agreement_version,
        "version": 0,
    }
    await tx.insert_once(coverages, fresh, on=["contract_id"])
    row = await tx.row(sa.select(coverages).where(coverages.c.contract_id == contract_id).with_for_update())
    assert row is not None
    return _coverage(row)


async def get_for_update(tx: Transaction, contract_id: UUID) -> Coverage:
    """Of a contract with protections, which never are without."""
    row = await tx.row(sa.select(coverages).where(coverages.c.contract_id == contract_id).with_for_update())
    assert row is not None
    return _coverage(row)


async def save(tx: Transaction, coverage: Coverage) -> None:
    """Raises StaleWrite."""
    terms = coverage.terms
    result = await tx.execute(
        sa.update(coverages)
        .where(coverages.c.contract_id == coverage.contract_id, coverages.c.version == coverage.version)
        .values(
            agreement_version=coverage.agreement_version,
            server_ids=None if coverage.server_ids is None else [str(each) for each in coverage.server_ids],
            period_index=terms.period_index if terms else None,
            period_ends_at=terms.period_ends_at if terms else None,
            every_hours=terms.every_hours if terms else None,
            restore_target_hours=terms.restore_target_hours if terms else None,
            terms_retention_days=terms.retention_days if terms else None,
            remote_every_hours=terms.remote_every_hours if terms else None,
            ended_period=coverage.ended_period,
            ended_at=coverage.ended_at,
            retention_days=coverage.retention_days,
            extended_period=coverage.extended_period,
            extended_until=coverage.extended_until,
            version=coverage.version + 1,
        )
    )
    if result.rowcount != 1:
        raise StaleWrite()
    coverage.version += 1


def _coverage(row: Row[Any]) -> Coverage:
    terms = None
    if row.period_index is not None:
        terms = Terms(
            agreement_version=row.agreement_version,
            period_index=row.period_index,
            period_ends_at=row.period_ends_at,
            every_hours=row.every_hours,
            restore_target_hours=row.restore_target_hours,
            retention_days=row.terms_retention_days,
            remote_every_hours=row.remote_every_hours,
        )
    return Coverage(
        contract_id=row.contract_id,
        customer_id=row.customer_id,
        agreement_version=row.agreement_version,
        server_ids=None if row.server_ids is None else [UUID(each) for each in row.server_ids],
        terms=terms,
        ended_period=row.ended_period,
        ended_at=row.ended_at,
        retention_days=row.retention_days,
        extended_period=row.extended_period,
        extended_until=row.extended_until,
        version=row.version,
    )
