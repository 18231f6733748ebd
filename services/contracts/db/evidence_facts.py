"""What other services told of a contract: kept once, read in the order of its time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import evidence_facts as table
from shared.kit.bus import sets
from shared.kit.db import Instant, Reader, Transaction


@dataclass(frozen=True, kw_only=True)
class EvidenceFact:
    """`id`, `at`, `epoch` and `seq` are the envelope's; `facts` hold no personal data."""

    id: UUID
    contract_id: UUID
    server_id: UUID | None
    kind: str
    source: str
    subject_id: UUID
    epoch: int
    seq: int
    at: datetime
    facts: dict[str, Any]


async def keep(tx: Transaction, fact: EvidenceFact) -> None:
    """Once, however often it is heard."""
    await tx.insert_once(table, vars(fact), on=["id"])


async def newest_by(reader: Reader, contract_id: UUID, server_id: UUID, kind: str, at: datetime) -> EvidenceFact | None:
    """The last fact of that kind about the server that was told by then."""
    row = await reader.row(
        sa.select(table)
        .where(
            table.c.contract_id == contract_id,
            table.c.at <= at,
            table.c.kind == kind,
            table.c.server_id == server_id,
        )
        .order_by(table.c.at.desc(), table.c.id.desc())
        .limit(1)
    )
    return None if row is None else _fact(row)


async def page(
    reader: Reader,
    contract_id: UUID,
    *,
    kinds: Collection[str],
    server_id: UUID | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[EvidenceFact]:
    """Up to `limit` facts of those kinds by time; with `server_id` those about other servers are left out."""
    query = sa.select(table).where(table.c.contract_id == contract_id, sets.among(reader, table.c.kind, kinds))
    if server_id is not None:
        query = query.where(sa.or_(table.c.server_id.is_(None), table.c.server_id == server_id))
    if after is not None:
        at, fact_id = after
        last = sa.tuple_(sa.literal(at, Instant), sa.literal(fact_id, sa.Uuid))
        query = query.where(sa.tuple_(table.c.at, table.c.id) > last)
    rows = await reader.rows(query.order_by(table.c.at, table.c.id).limit(limit))
    return [_fact(row) for row in rows]


def _fact(row: sa.Row[Any]) -> EvidenceFact:
    return EvidenceFact(**row._mapping)
