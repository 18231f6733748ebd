"""Files that are to be backed up: put into a server's source folder, and taken out of it."""

from __future__ import annotations

from uuid import UUID

from services.backup.db import runs, servers
from services.backup.domain.source_path import source_path
from services.backup.gateways.files import FileStore, StoredFile
from services.backup.use_cases.protections import PERFORM_RUN
from shared.kit import audit_trail
from shared.kit.db import Transaction
from shared.kit.schedule import set_timer


async def store_file(
    tx: Transaction, files: FileStore, server_id: UUID, path: str, content: bytes, *, only_customer: UUID | None
) -> StoredFile:
    """Put the file; a run that waits for files is due at once.

    The file is durable before the commit: a crash between leaves it stored without its audit row, and
    the same PUT again stores the same.
    """
    server = await servers.get(tx, server_id, only_customer=only_customer)
    stored = await files.store(server.id, source_path(path), content)
    audit_trail.record(tx, server.customer_id, "store-file", server.id, bytes=stored.bytes, sha256=stored.sha256)
    for run in await runs.waiting_for_files(tx, server.id):
        await set_timer(tx, PERFORM_RUN, run.id, tx.now)
    return stored


async def remove_file(
    tx: Transaction, files: FileStore, server_id: UUID, path: str, *, only_customer: UUID | None
) -> None:
    """Take the file out of the source folder; backups made of it stay."""
    server = await servers.get(tx, server_id, only_customer=only_customer)
    await files.remove(server.id, source_path(path))
    audit_trail.record(tx, server.customer_id, "remove-file", server.id)
