"""The audit trail: rows appended in the command's transaction, sealed into one hash chain per customer.

A row's hash is SHA-256 over the hash before it and the row's canonical JSON, so a changed, removed
or reordered row breaks the chain at its place. Heads are signed and kept outside the database.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
import structlog
from prometheus_client import Counter, Gauge

from shared.kernel.errors import Unavailable
from shared.kit.bus import sets
from shared.kit.db import Database, LockedByAnother, Reader, Transaction
from shared.kit.measuring import Reading
from shared.kit.signed_heads import Head, SignedHeads
from shared.kit.signing_keys import SigningKeys
from shared.kit.statements import Fixed
from shared.kit.tables import audit_heads, audit_rows

GENESIS = "0" * 64
SEAL_BATCH = 20_000
"""The more rows of a chain are sealed at once, the fewer heads are signed."""
SEAL_BATCH_ON_SQLITE = 2_000
"""There a batch is also how long the event loop waits."""
SEAL_EVERY_SECONDS = 0.5
NEWEST_HEADS = 2 * SEAL_BATCH
"""Looked through for one that lacks its signature: what several sealers can have left as they died."""
COMPANY_CHAIN = UUID(int=0)
"""The chain of rows that concern no single customer."""
_SEAL_LOCK = 0x4D535441  # one sealer at a time on PostgreSQL; SQLite has one writer anyway

log = structlog.get_logger("audit")
SEALED = Counter("mainstay_audit_sealed_total", "Audit rows sealed into their chain", ["service"])
OLDEST_UNSEALED = Gauge(
    "mainstay_audit_oldest_unsealed_seconds", "How long the oldest audit row has waited for its seal", ["service"]
)


@dataclass(frozen=True)
class AuditEntry:
    chain: UUID
    event: dict[str, Any]


class SealedRow(NamedTuple):
    seq: int
    at: datetime
    event: dict[str, Any]
    hash: str


def record(tx: Transaction, customer_id: UUID | None, verb: str, subject_id: UUID, **details: Any) -> None:
    """Append to the customer's chain when `tx` commits: who did what to which thing.

    `details` are JSON-ready and hold no secret and no personal data beyond ids.
    """
    event = {"by": tx.actor, "verb": verb, "subject_id": str(subject_id), "correlation_id": tx.correlation_id}
    tx.audit_entries.append(AuditEntry(customer_id or COMPANY_CHAIN, {**event, **details}))


async def flush(tx: Transaction) -> None:
    """Commit hook: write the recorded entries in one statement."""
    if tx.audit_entries and tx.dialect == "postgresql":
        given = {
            "audit_chains": [entry.chain for entry in tx.audit_entries],
            "audit_events": [json.dumps(entry.event) for entry in tx.audit_entries],
            "audit_at": tx.now,
        }
        tx.at_the_end("audited", _APPEND_ON_POSTGRESQL, given)
    elif tx.audit_entries:
        await tx.insert(
            audit_rows,
            [{"chain": entry.chain, "event": entry.event, "at": tx.now} for entry in tx.audit_entries],
        )


_APPEND_ON_POSTGRESQL = """
INSERT INTO audit_rows (chain, event, at) SELECT chain, CAST(event AS JSONB), :audit_at
FROM unnest(CAST(:audit_chains AS UUID[]), CAST(:audit_events AS TEXT[])) WITH ORDINALITY AS given(chain, event, place)
ORDER BY place
"""


def row_hash(before: str, chain: str, seq: int, at: datetime, event: dict[str, Any]) -> str:
    """SHA-256 (hex) that seals a row behind the hash `before`."""
    content = f'["{before}","{chain}",{seq},"{at.isoformat()}",{_canonical(event)}]'
    return hashlib.sha256(content.encode()).hexdigest()


class Walk:
    """Follows one chain from its first row on: does each carry on from the one before, and is it what was signed?

    `last` and `hash` are those of the last row that holds; `broken` says what is wrong with the one after it. `signed`
    are the hashes of heads by seq, as far as they are known.
    """

    __slots__ = ("_name", "_signed", "broken", "hash", "last")

    def __init__(self, chain: UUID, signed: Mapping[int, str] | None = None) -> None:
        self._name = str(chain)
        self._signed = signed or {}
        self.last, self.hash = 0, GENESIS
        self.broken: str | None = None

    def read(self, row: SealedRow) -> None:
        """The next row; behind a break nothing is judged any more."""
        if self.broken:
            return
        if row.seq != self.last + 1:
            self.broken = f"is missing (the next one is {row.seq})"
        elif row_hash(self.hash, self._name, row.seq, row.at, row.event) != row.hash:
            self.broken = "does not have the hash it was sealed with"
        elif self._signed.get(row.seq, row.hash) != row.hash:
            self.broken = "differs from the signed head"
        else:
            self.hash, self.last = row.hash, row.seq


def first_break(chain: UUID, rows: Iterable[SealedRow]) -> int | None:
    """The seq at which the chain does not hold, or None; `rows` in order from seq 1."""
    walk = Walk(chain)
    for row in rows:
        walk.read(row)
    return walk.last + 1 if walk.broken else None


async def sealed_rows(reader: Reader, chain: UUID, *, after: int = 0, limit: int = 1000) -> list[SealedRow]:
    """Sealed rows of one chain in order, from seq `after` + 1."""
    found: Sequence[Any] = await reader.rows(_SEALED, {"of_chain": chain, "after": after, "at_most": limit})
    return [SealedRow(seq, _instant(at), _read_json(event), digest) for seq, at, event, digest in found]


async def sealed_rows_of_all(
    reader: Reader, *, after: tuple[UUID, int], limit: int
) -> list[tuple[UUID, list[SealedRow]]]:
    """Sealed rows of every chain, chain after chain in order, from behind the row `after` (chain and seq)."""
    chain, seq = after
    found: Sequence[Any] = await reader.rows(_SEALED_OF_ALL, {"of_chain": chain, "after": seq, "at_most": limit})
    return [
        (
            UUID(chain) if isinstance(chain, str) else chain,
            [SealedRow(seq, _instant(at), _read_json(event), digest) for _, seq, at, event, digest in rows],
        )
        for chain, rows in groupby(found, key=itemgetter(0))
    ]


async def measure(reader: Reader) -> list[Reading]:
    at: datetime | None = await reader.scalar(_FIRST_UNSEALED)
    return [Reading(OLDEST_UNSEALED, max((reader.now - at).total_seconds(), 0.0) if at else 0.0)]


class Sealer:
    """Seals what has been appended, well within a second, and signs the heads into a file."""

    def __init__(self, database: Database, service: str, data_dir: Path) -> None:
        self._database = database
        self._service = service
        self._signed = heads_on_file(service, data_dir)
        self._may_lack_heads = True
        self.turned_at = time.monotonic()
        self._batch = SEAL_BATCH_ON_SQLITE if database.dialect == "sqlite" else SEAL_BATCH

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.turned_at = time.monotonic()
            sealed = 0
            try:
                sealed = await self.seal()
            except (Unavailable, LockedByAnother):
                pass
            except OSError as trouble:
                log.error("heads wait to be signed", service=self._service, error=repr(trouble))
            except Exception as error:
                log.error("sealing failed", service=self._service, error=type(error).__name__, exc_info=error)
            if sealed < self._batch:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), SEAL_EVERY_SECONDS)

    async def seal(self) -> int:
        """Seal one batch; returns the number of rows sealed."""
        if self._may_lack_heads:
            await self._sign_what_lacks()
        async with self._database.reading() as reader:
            if await reader.row(_ANY_UNSEALED) is None:
                return 0
        async with self._database.transaction() as tx:
            if tx.dialect == "postgresql" and not await tx.scalar(
                sa.select(sa.func.pg_try_advisory_xact_lock(_SEAL_LOCK))
            ):
                return 0
            heads, sealed = await self._seal_in(tx)
        await self._sign(heads)
        SEALED.labels(self._service).inc(sealed)
        return sealed

    async def _sign_what_lacks(self) -> None:
        """A sealer that died between its commit and its signature left heads that no file tells of."""
        columns = audit_heads.c
        async with self._database.reading() as reader:
            newest = await reader.rows(
                sa.select(columns.chain, columns.seq, columns.hash)
                .order_by(columns.sealed_at.desc())
                .limit(NEWEST_HEADS)
            )
        heads = [Head(row.chain, row.seq, row.hash) for row in reversed(newest)]
        await self._sign(await asyncio.to_thread(self._signed.lacking, heads))

    async def _sign(self, heads: Sequence[Head]) -> None:
        self._may_lack_heads = True
        await asyncio.to_thread(self._signed.append, heads)
        self._may_lack_heads = False

    async def _seal_in(self, tx: Transaction) -> tuple[list[Head], int]:
        rows: Sequence[Any] = await tx.rows(_UNSEALED, {"at_most": self._batch})
        chains = {row.chain for row in rows}
        known = await tx.rows(
            sa.select(audit_heads.c.chain, audit_heads.c.seq, audit_heads.c.hash).where(
                sets.among(tx, audit_heads.c.chain, chains)
            )
        )
        heads: dict[UUID, tuple[int, str]] = dict.fromkeys(chains, (0, GENESIS))
        heads.update({row.chain: (row.seq, row.hash) for row in known})
        names = {chain: str(chain) for chain in chains}
        links: list[tuple[int, int, str]] = []
        for row_id, chain, event, at in rows:
            seq, before = heads[chain]
            digest = row_hash(before, names[chain], seq + 1, _instant(at), _read_json(event))
            heads[chain] = (seq + 1, digest)
            links.append((row_id, seq + 1, digest))
        await self._link(tx, links)
        sealed = [Head(chain, *heads[chain]) for chain in sorted(chains)]
        values = [{**head._asdict(), "sealed_at": tx.now} for head in sealed]
        await sets.put(tx, audit_heads, values, on=("chain",), update=("seq", "hash", "sealed_at"))
        return sealed, len(rows)

    async def _link(self, tx: Transaction, links: list[tuple[int, int, str]]) -> None:
        if not links:
            return
        if tx.dialect == "postgresql":
            ids, seqs, digests = zip(*links, strict=True)
            await tx.execute(_LINK_ON_POSTGRESQL, {"ids": ids, "seqs": seqs, "digests": digests})
        else:
            await tx.execute(_LINK_ON_SQLITE, {"links": json.dumps(links)})


def heads_on_file(service: str, data_dir: Path) -> SignedHeads:
    return SignedHeads(data_dir / "audit" / f"{service}.heads.jsonl", service, SigningKeys(data_dir))


def _instant(stored: Any) -> datetime:
    """What the driver holds of an Instant: a datetime in UTC, or SQLite's microseconds."""
    return stored if isinstance(stored, datetime) else _EPOCH + timedelta(microseconds=stored)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_read_json = json.JSONDecoder().decode
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode

# As the driver has them: SQLAlchemy's conversion of each value costs as much as all the rest.
_AT = sa.type_coerce(audit_rows.c.at, sa.types.NULLTYPE)
_CHAIN = sa.type_coerce(audit_rows.c.chain, sa.types.NULLTYPE)
_EVENT = sa.cast(audit_rows.c.event, sa.Text)
_SEALED = Fixed(
    sa.select(audit_rows.c.seq, _AT, _EVENT, audit_rows.c.hash)
    .where(audit_rows.c.chain == sa.bindparam("of_chain"), audit_rows.c.seq > sa.bindparam("after"))
    .order_by(audit_rows.c.seq)
    .limit(sa.bindparam("at_most"))
)
_SEALED_OF_ALL = Fixed(
    sa.select(_CHAIN, audit_rows.c.seq, _AT, _EVENT, audit_rows.c.hash)
    .where(
        sa.tuple_(audit_rows.c.chain, audit_rows.c.seq)
        > sa.tuple_(sa.bindparam("of_chain", type_=sa.Uuid), sa.bindparam("after", type_=sa.BigInteger))
    )
    .order_by(audit_rows.c.chain, audit_rows.c.seq)
    .limit(sa.bindparam("at_most"))
)
_ANY_UNSEALED = Fixed(sa.select(audit_rows.c.id).where(sa.text("seq IS NULL")).limit(1))
_FIRST_UNSEALED = Fixed(sa.select(audit_rows.c.at).where(sa.text("seq IS NULL")).order_by(audit_rows.c.id).limit(1))
_UNSEALED = Fixed(
    sa.select(audit_rows.c.id, audit_rows.c.chain, _EVENT, _AT)
    .where(sa.text("seq IS NULL"))
    .order_by(audit_rows.c.id)
    .limit(sa.bindparam("at_most"))
)
_LINK_ON_POSTGRESQL = Fixed(
    sa.text(
        "UPDATE audit_rows SET seq = link.seq, hash = link.hash "
        "FROM unnest(CAST(:ids AS BIGINT[]), CAST(:seqs AS BIGINT[]), CAST(:digests AS TEXT[])) AS link(id, seq, hash) "
        "WHERE audit_rows.id = link.id"
    )
)
_LINK_ON_SQLITE = Fixed(
    sa.text(
        "UPDATE audit_rows SET seq = json_extract(value, '$[1]'), hash = json_extract(value, '$[2]') "
        "FROM json_each(:links) WHERE audit_rows.id = json_extract(value, '$[0]')"
    )
)
