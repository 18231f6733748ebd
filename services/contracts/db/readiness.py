"""Rows of readiness checks, and what else is on record of a server's readiness."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db import software, supported_systems, verified_backups
from services.contracts.db.tables import readiness_checks as table
from services.contracts.domain.condition_declaration import Condition
from services.contracts.domain.readiness import RECORDED, OnRecord, ReadinessCheck
from services.contracts.domain.server import Server
from shared.kit.db import Reader, Transaction


async def insert(tx: Transaction, check: ReadinessCheck) -> None:
    await tx.insert(table, vars(check))


async def on_record(reader: Reader, server: Server) -> OnRecord:
    """What a checklist is made of."""
    checks = {}
    for condition in sorted(RECORDED):
        newest = await reader.row(
            sa.select(table)
            .where(table.c.server_id == server.id, table.c.condition == condition)
            .order_by(table.c.checked_at.desc(), table.c.id.desc())
            .limit(1)
        )
        if newest is not None:
            checks[condition] = ReadinessCheck(**{**newest._mapping, "condition": Condition(newest.condition)})
    backup = await verified_backups.newest_of(reader, server.id)
    declaration = await software.newest_of(reader, server.id)
    return OnRecord(
        checks=checks,
        system_supported=supported_systems.supports(server.operating_system),
        backup_completed_at=backup.completed_at if backup else None,
        software_declared_at=declaration.declared_at if declaration else None,
        software_declared_by=declaration.declared_by if declaration else None,
    )
