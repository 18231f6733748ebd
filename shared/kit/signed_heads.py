"""The file beside the database that says, signed, how far each audit chain was and with which hash."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from shared.kit.signing_keys import Signer, SigningKeys

HEADS_OF_A_LINE = 1_000
READ_BACK_BYTES = 8 * 1024 * 1024
"""Some 60,000 heads."""


class Head(NamedTuple):
    """The last sealed row of a chain."""

    chain: UUID
    seq: int
    hash: str


@dataclass(frozen=True)
class SignedLine:
    """Heads that one signature covers, and the id of its key; `restored` as in `SignedHeads.append`."""

    heads: Sequence[Head]
    restored: bool
    key: str
    signature: bytes


class SignedHeads:
    """Several processes may append to one file."""

    def __init__(self, path: Path, service: str, keys: SigningKeys) -> None:
        self._path = path
        self._service = service
        self._keys = keys

    def append(self, heads: Sequence[Head], *, restored: bool = False) -> None:
        """`restored`: the database was put back to these heads, and what was signed beyond them is void."""
        if not heads:
            return
        with self._keys.in_use() as signer:
            parts = (heads[at : at + HEADS_OF_A_LINE] for at in range(0, len(heads), HEADS_OF_A_LINE))
            self._write("".join(f"{self._line(part, signer, restored=restored)}\n" for part in parts))

    def lacking(self, heads: Sequence[Head]) -> list[Head]:
        """Those that the end of the file does not tell of; one that it told of long ago may be among them."""
        told = {head for line in self._read_back(READ_BACK_BYTES).splitlines() for head in _told(line)}
        return [head for head in heads if head not in told]

    def _write(self, lines: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: one write is one piece; on a disk that fills up it may be half of it.
        with self._path.open("ab", buffering=0) as file:
            # Where processes share the file over a network, appending alone does not keep them apart.
            fcntl.flock(file, fcntl.LOCK_EX)
            # A writer that was killed may have left half a line, which must not swallow the next.
            begin = "" if self._read_back(1) in (b"", b"\n") else "\n"
            content = f"{begin}{lines}".encode()
            while content:
                content = content[file.write(content) :]

    def _read_back(self, size: int) -> bytes:
        if not self._path.exists():
            return b""
        with self._path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
            return file.read()

    def _line(self, heads: Sequence[Head], signer: Signer, *, restored: bool) -> str:
        signature = signer.key.sign(signed_text(self._service, heads, restored=restored)).hex()
        told = [(str(head.chain), head.seq, head.hash) for head in heads]
        said = {"heads": told, "key": signer.id, "signature": signature}
        return json.dumps({**said, "restored": True} if restored else said)


def signed_text(service: str, heads: Sequence[Head], *, restored: bool) -> bytes:
    """SHA-256 of each head one after the other: who is shown one head with the digests of the others can verify it."""
    kind = "restored" if restored else "sealed"
    digests = (hashlib.sha256(f"{head.chain}:{head.seq}:{head.hash}".encode()).digest() for head in heads)
    return f"{service}:{kind}:".encode() + b"".join(digests)


def signed_line(line: str | bytes) -> SignedLine:
    """What a line says, its signature not verified; raises ValueError."""
    try:
        said = json.loads(line)
        heads = [Head(UUID(chain), int(seq), str(digest)) for chain, seq, digest in said["heads"]]
        return SignedLine(heads, "restored" in said, str(said["key"]), bytes.fromhex(said["signature"]))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError("is not a line of signed heads") from None


def _told(line: bytes) -> Sequence[Head]:
    try:
        return signed_line(line).heads
    except ValueError:
        return []
