"""The file beside the database that says, signed, how far each audit chain was and with which hash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from shared.kit.signing_keys import Signer, SigningKeys

READ_BACK_BYTES = 4 * 1024 * 1024
"""Some 15,000 lines."""


class Head(NamedTuple):
    """The last sealed row of a chain."""

    chain: UUID
    seq: int
    hash: str


class SignedHeads:
    """Several processes may append to one file."""

    def __init__(self, path: Path, service: str, keys: SigningKeys) -> None:
        self._path = path
        self._service = service
        self._keys = keys

    def append(self, heads: Iterable[Head], *, restored: bool = False) -> None:
        """`restored`: the database was put back to these heads, and what was signed beyond them is void."""
        heads = list(heads)
        if not heads:
            return
        with self._keys.in_use() as signer:
            self._write("".join(f"{self._line(head, signer, restored=restored)}\n" for head in heads))

    def lacking(self, heads: Sequence[Head]) -> list[Head]:
        """Those that the end of the file does not tell of; one that it told of long ago may be among them."""
        lines = self._read_back(READ_BACK_BYTES).splitlines()
        told = {_told(line) for line in lines}
        return [head for head in heads if (str(head.chain), head.hash) not in told]

    def _write(self, lines: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A writer that was killed may have left half a line, which must not swallow the next.
        begin = "" if self._read_back(1) in (b"", b"\n") else "\n"
        content = f"{begin}{lines}".encode()
        # Unbuffered: one write is one piece, whoever else appends; on a disk that fills up it may be half of it.
        with self._path.open("ab", buffering=0) as file:
            while content:
                content = content[file.write(content) :]

    def _read_back(self, size: int) -> bytes:
        if not self._path.exists():
            return b""
        with self._path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
            return file.read()

    def _line(self, head: Head, signer: Signer, *, restored: bool) -> str:
        chain, seq, digest = head
        signature = signer.key.sign(signed_text(self._service, head, restored=restored)).hex()
        said = {"chain": str(chain), "seq": seq, "hash": digest, "key": signer.id, "signature": signature}
        return json.dumps({**said, "restored": True} if restored else said)


def signed_text(service: str, head: Head, *, restored: bool) -> bytes:
    return f"{service}:{head.chain}:{head.seq}:{head.hash}{':restored' if restored else ''}".encode()


def _told(line: bytes) -> tuple[str, str] | None:
    try:
        said = json.loads(line)
        return said["chain"], said["hash"]
    except (ValueError, KeyError, TypeError):
        return None
