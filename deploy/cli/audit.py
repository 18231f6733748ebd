"""Verifies audit trails: every hash chain against its rows, and every signed head against its chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import typer
from cryptography.exceptions import InvalidSignature

from deploy.cli.operator import opened
from deploy.cli.output import AsJson, Exit, complain, console, print_json
from deploy.cli.running import ServiceName
from deploy.progress import Progress
from deploy.serving import settle
from shared.kit.audit_trail import COMPANY_CHAIN, GENESIS, SealedRow, row_hash, sealed_rows_of_all
from shared.kit.db import Database
from shared.kit.runtime import Runtime
from shared.kit.signed_heads import SignedLine, signed_line, signed_text
from shared.kit.signing_keys import BrokenSuccession, PublicKey, SigningKeys

commands = typer.Typer(help="The audit trail.", no_args_is_help=True)
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
        settle()
        progress = Progress(f"Verifying the rows of {service}")
        found = await verify_trail(runtime, told=progress.at)
        progress.end()
        return found


async def verify_trail(
    runtime: Runtime, *, told: Callable[[int], object] = lambda _count: None
) -> tuple[int, int, list[Break]]:
    """Number of chains, of sealed rows, and the first break of each chain that has one.

    `told` hears how many rows have been read so far.
    """
    heads, breaks = signed_heads(runtime.name, runtime.data_dir)
    checks: dict[UUID, Check] = {}
    count = 0
    async for chain, rows in _sealed(runtime.database):
        check = checks.setdefault(chain, Check(chain, heads.get(chain, {})))
        for row in rows:
            check.read(row)
        count += len(rows)
        told(count)
    # A chain that lost all its rows is still named by its signed heads.
    for chain in heads.keys() - checks.keys():
        checks[chain] = Check(chain, heads[chain])
    found = (checks[chain].outcome() for chain in sorted(checks))
    return len(checks), sum(check.last for check in checks.values()), breaks + [one for one in found if one]


async def _sealed(database: Database) -> AsyncIterator[tuple[UUID, list[SealedRow]]]:
    """The sealed rows in order, by chain; a long chain comes in pieces."""
    after = (COMPANY_CHAIN, 0)
    async with database.reading() as reader:
        while page := await sealed_rows_of_all(reader, after=after, limit=PAGE):
            for chain, rows in page:
                yield chain, rows
            after = (chain, rows[-1].seq)


class Check:
    """One chain: does each row carry on from the one before, and is it what was signed?"""

    __slots__ = ("_broken", "_chain", "_hash", "_name", "_signed", "last")

    def __init__(self, chain: UUID, signed: Heads) -> None:
        self._chain, self._name, self._signed = chain, str(chain), signed
        self._hash, self.last = GENESIS, 0
        self._broken: str | None = None

    def read(self, row: SealedRow) -> None:
        if self._broken:
            return
        if row.seq != self.last + 1:
            self._broken = f"is missing (the next one is {row.seq})"
        elif row_hash(self._hash, self._name, row.seq, row.at, row.event) != row.hash:
            self._broken = "does not have the hash it was sealed with"
        elif self._signed.get(row.seq, row.hash) != row.hash:
            self._broken = "differs from the signed head"
        else:
            self._hash, self.last = row.hash, row.seq

    def outcome(self) -> Break | None:
        if self._broken:
            return Break(self._chain, self.last + 1, self._broken)
        newest = max(self._signed, default=0)
        if newest > self.last:
            return Break(self._chain, self.last + 1, f"is missing: the signed head is at {newest}")
        if self.last and not self._signed:
            return Break(self._chain, self.last, "is sealed, but no signed head of this chain is on file")
        return None


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
