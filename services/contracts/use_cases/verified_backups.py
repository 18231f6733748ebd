"""What the backup service tells of backups, remembered as evidence that lowers risk."""

from __future__ import annotations

from services.contracts.db import verified_backups
from services.contracts.domain.verified_backup import VerifiedBackup
from shared.events.backup import BackupCompleted, BackupDataDeleted
from shared.kit.db import Transaction


async def hear_of_backup(tx: Transaction, told: BackupCompleted) -> None:
    """Told late, twice or after a newer one, it changes nothing."""
    backup = VerifiedBackup(
        server_id=told.server_id,
        contract_id=told.contract_id,
        protection_id=told.protection_id,
        run_id=told.run_id,
        completed_at=told.completed_at,
    )
    await verified_backups.keep(tx, backup)


async def hear_of_deletion(tx: Transaction, told: BackupDataDeleted) -> None:
    """A backup that is no longer kept is no evidence."""
    await verified_backups.forget(
        tx,
        protection_id=told.protection_id,
        contract_id=told.contract_id,
        server_id=told.server_id,
        deleted_at=told.deleted_at,
    )
