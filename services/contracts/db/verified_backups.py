"""Rows of verified backups."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import verified_backups
from services.contracts.domain.verified_backup import VerifiedBackup
from shared.kit.db import Reader, Transaction


async def newest_of(reader: Reader, server_id: UUID) -> VerifiedBackup | None:
    """The server's newest verified backup whose data is still kept, whichever contract it was made under."""
    columns = verified_backups.c
    row = await reader.row(
        sa.select(columns.server_id, columns.contract_id, columns.protection_id, columns.run_id, columns.completed_at)
        .where(columns.server_id == server_id, columns.completed_at.is_not(None), columns.deleted_at.is_(None))
        .order_by(columns.completed_at.desc())
        .limit(1)
    )
    return None if row is None else VerifiedBackup(**row._mapping)


async def keep(tx: Transaction, backup: VerifiedBackup) -> None:
    """Remember it unless a newer one of its protection is known."""
    if await tx.insert_once(verified_backups, {**vars(backup), "deleted_at": None}, on=["protection_id"]):
        return
    columns = verified_backups.c
    older = sa.or_(columns.completed_at.is_(None), columns.completed_at < backup.completed_at)
    await tx.execute(
        sa.update(verified_backups)
        .where(columns.protection_id == backup.protection_id, older)
        .values(run_id=backup.run_id, completed_at=backup.completed_at)
    )


async def forget(
    tx: Transaction, *, protection_id: UUID, contract_id: UUID, server_id: UUID, deleted_at: datetime
) -> None:
    """The protection's data is gone, and stays so whatever is heard of it later."""
    values = {
        "protection_id": protection_id,
        "contract_id": contract_id,
        "server_id": server_id,
        "run_id": None,
        "completed_at": None,
        "deleted_at": deleted_at,
    }
    await tx.upsert(verified_backups, values, on=["protection_id"], update=["deleted_at"])
