"""Verifies audit trails: every hash chain against its rows, and every signed head against its chain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
import typer
from cryptography.exceptions import InvalidSignature

from deploy.cli.operator import opened
from deploy.cli.output import AsJson, Exit, complain, console, print_json
from deploy.cli.running import ServiceName
from shared.kit.audit_trail import GENESIS, row_hash, sealed_rows
from shared.kit.db import Database
from shared.kit.runtime import Runtime
from shared.kit.signed_heads import Head, signed_text
from shared.kit.signing_keys import BrokenSuccession, PublicKey, SigningKeys
from shared.kit.tables import audit_rows

commands = typer.Typer(help="The audit trail.", no_args_is_help=True)
PAGE = 5_000


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


@commands.callback()
def _group() -> None:
    """The audit trail."""


@commands.command("verify")
def verify(service: ServiceName, as_json: AsJson = False) -> None:
    """Check every chain of a service and its signed heads; 1 naming the first broken link of each chain."""
    chains, rows, breaks = asyncio.run(_verify(service))
    if as_json:
        found = [{"chain": one.chain, "seq": one.seq, "reason": one.reason} for one in breaks]
        print_json({"service": service, "chains": chains, "rows": rows, "breaks": found})
    elif breaks:
        complain(str(one) for one in breaks)
    else:
        console.print(f"{service}: {rows} sealed rows in {chains} chains hold.")
    if breaks:
        raise typer.Exit(Exit.FAILED)


async def _verify(service: str) -> tuple[int, int, list[Break]]:
    async with opened(service) as runtime:
        return await verify_trail(runtime)


async def verify_trail(runtime: Runtime) -> tuple[int, int, list[Break]]:
    """Number of chains, of sealed rows, and the first break of each chain that has one."""
    heads, breaks = signed_heads(runtime.name, runtime.data_dir)
    rows = 0
    # A chain that lost all its rows is still named by its signed heads.
    chains = await _chains(runtime.database) | set(heads)
    for chain in sorted(chains):
        signed = heads.get(chain, {})
        count, broken = await _verify_chain(runtime.database, chain, signed)
        rows += count
        breaks += [broken] if broken else []
    return len(chains), rows, breaks


async def _chains(database: Database) -> set[UUID]:
    async with database.reading() as reader:
        found = await reader.rows(sa.select(audit_rows.c.chain).where(audit_rows.c.seq.is_not(None)).distinct())
    return {row.chain for row in found}


async def _verify_chain(database: Database, chain: UUID, signed: Heads) -> tuple[int, Break | None]:
    before, last = GENESIS, 0
    async with database.reading() as reader:
        while True:
            page = await sealed_rows(reader, chain, after=last, limit=PAGE)
            for row in page:
                if row.seq != last + 1:
                    return last, Break(chain, last + 1, f"is missing (the next one is {row.seq})")
                if row_hash(before, chain, row.seq, row.at, row.event) != row.hash:
                    return last, Break(chain, row.seq, "does not have the hash it was sealed with")
                if signed.get(row.seq, row.hash) != row.hash:
                    return last, Break(chain, row.seq, "differs from the signed head")
                before, last = row.hash, row.seq
            if len(page) < PAGE:
                break
    newest = max(signed, default=0)
    if newest > last:
        return last, Break(chain, last + 1, f"is missing: the signed head is at {newest}")
    if last and not signed:
        return last, Break(chain, last, "is sealed, but no signed head of this chain is on file")
    return last, None


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
            head, restored = judge.head_in(line)
        except _NotSigned as wrong:
            breaks.append(Break(None, None, f"{path.name}, line {number}: {wrong}"))
            continue
        chain, seq, digest = head
        of_chain = heads.setdefault(chain, {})
        if restored:
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

    def head_in(self, line: str) -> tuple[Head, bool]:
        """The head, and whether the database was restored to it; raises _NotSigned."""
        try:
            said = json.loads(line)
            head, restored = Head(UUID(said["chain"]), int(said["seq"]), str(said["hash"])), "restored" in said
            # Lines of before keys had names are the oldest key's.
            place = self._place_of(said.get("key", self._keys[0].id))
            text = signed_text(self._service, head, restored=restored)
            self._keys[place].key.verify(bytes.fromhex(said["signature"]), text)
        except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
            raise _NotSigned("the signature does not hold") from None
        self._reached = place
        return head, restored

    def _place_of(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            raise _NotSigned(f"key {name} is not on record")
        if place < self._reached:
            raise _NotSigned(f"key {name} was retired before this line")
        return place
