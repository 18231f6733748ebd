"""Audit trails as a whole: every hash chain against its rows, and every signed head against its chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature

from shared.kit.audit_trail import COMPANY_CHAIN, GENESIS, SealedRow, Walk, heads_on_file, sealed_rows_of_all
from shared.kit.db import Database
from shared.kit.runtime import Runtime
from shared.kit.signed_heads import Head, SignedLine, signed_line, signed_text
from shared.kit.signing_keys import BrokenSuccession, PublicKey, SigningKeys
from shared.kit.tables import audit_heads

PAGE = 2_000


@dataclass(frozen=True)
class Break:
    """Where a chain does not hold."""

    chain: UUID | None
    seq: int | None
    reason: str

    def __str__(self) -> str:
        place = f"chain {self.chain}, row {self.seq}: " if self.chain else ""
        return f"{place}{self.reason}"


Heads = dict[int, str]
"""Signed heads of one chain: hash by seq."""


async def verify_trail(
    runtime: Runtime, *, told: Callable[[int], object] = lambda _count: None
) -> tuple[int, int, list[Break]]:
    """Number of chains, of sealed rows, and the first break of each chain that has one.

    `told` hears how many rows have been read so far.
    """
    heads, breaks = signed_heads(runtime.name, runtime.data_dir)
    walks: dict[UUID, Walk] = {}
    count = 0
    async for chain, rows in _sealed(runtime.database):
        walk = walks.get(chain)
        if walk is None:
            walk = walks[chain] = Walk(chain, heads.get(chain))
        for row in rows:
            walk.read(row)
        count += len(rows)
        told(count)
    # A chain that lost all its rows is still named by its signed heads.
    for chain in heads.keys() - walks.keys():
        walks[chain] = Walk(chain)
    found = (_break_of(chain, walks[chain], heads.get(chain, {})) for chain in sorted(walks))
    return len(walks), sum(walk.last for walk in walks.values()), breaks + [one for one in found if one]


async def _sealed(database: Database) -> AsyncIterator[tuple[UUID, list[SealedRow]]]:
    """The sealed rows in order, by chain; a long chain comes in pieces."""
    after = (COMPANY_CHAIN, 0)
    async with database.reading() as reader:
        while page := await sealed_rows_of_all(reader, after=after, limit=PAGE):
            for chain, rows in page:
                yield chain, rows
            after = (chain, rows[-1].seq)


def _break_of(chain: UUID, walk: Walk, signed: Heads) -> Break | None:
    if walk.broken:
        return Break(chain, walk.last + 1, walk.broken)
    newest = max(signed, default=0)
    if newest > walk.last:
        return Break(chain, walk.last + 1, f"is missing: the signed head is at {newest}")
    if walk.last and not signed:
        return Break(chain, walk.last, "is sealed, but no signed head of this chain is on file")
    return None


async def sign_where_chains_are(runtime: Runtime) -> None:
    """The audit trail goes on from the backup: later heads, signed before the restore, no longer hold."""
    on_file, _breaks = signed_heads(runtime.name, runtime.data_dir)
    columns = audit_heads.c
    async with runtime.database.reading() as reader:
        rows = await reader.rows(sa.select(columns.chain, columns.seq, columns.hash))
    there = {row.chain: Head(row.chain, row.seq, row.hash) for row in rows}
    now = [there.get(chain, Head(chain, 0, GENESIS)) for chain in sorted(on_file)]
    behind = [head for head in now if max(on_file[head.chain], default=0) > head.seq]
    signed = heads_on_file(runtime.name, runtime.data_dir)
    await asyncio.to_thread(signed.append, behind, restored=True)


def signed_heads(service: str, data_dir: Path) -> tuple[dict[UUID, Heads], list[Break]]:
    path = data_dir / "audit" / f"{service}.heads.jsonl"
    heads: dict[UUID, Heads] = {}
    breaks: list[Break] = []
    if not path.exists():
        return heads, breaks
    try:
        keys = SigningKeys(data_dir).known()
    except BrokenSuccession as broken:
        return heads, [Break(None, None, str(broken))]
    judge = _Judge(service, keys)
    for number, line in _complete_lines(path):
        try:
            signed = judge.verified(line)
        except _NotSigned as wrong:
            breaks.append(Break(None, None, f"{path.name}, line {number}: {wrong}"))
            continue
        for chain, seq, digest in signed.heads:
            of_chain = heads.setdefault(chain, {})
            if signed.restored:
                heads[chain] = of_chain = {before: hash for before, hash in of_chain.items() if before <= seq}
            if seq:
                of_chain[seq] = digest
    return heads, breaks


def _complete_lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            # A process that is killed while it writes leaves half a line behind: it signs nothing.
            if line.endswith("}\n"):
                yield number, line


class _NotSigned(Exception):
    """A line does not hold; the text says why."""


class _Judge:
    """Reads one file of heads line by line, from its oldest key to its newest."""

    def __init__(self, service: str, keys: Sequence[PublicKey]) -> None:
        self._service = service
        self._keys = keys
        self._places = {key.id: place for place, key in enumerate(keys)}
        self._reached = 0

    def verified(self, line: str) -> SignedLine:
        """Raises _NotSigned."""
        try:
            signed = signed_line(line)
            place = self._place_of(signed.key)
            text = signed_text(self._service, signed.heads, restored=signed.restored)
            self._keys[place].key.verify(signed.signature, text)
        except (ValueError, InvalidSignature):
            raise _NotSigned("the signature does not hold") from None
        self._reached = place
        return signed

    def _place_of(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            raise _NotSigned(f"key {name} is not on record")
        if place < self._reached:
            raise _NotSigned(f"key {name} was retired before this line")
        return place
