"""The key that signs the heads of the audit trail, those before it, and the way from one to the next."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.kit.disk import sync_folder
from shared.kit.key_files import content_of, give_to_owner_of, put_in_place

ID_LENGTH = 16


class BrokenSuccession(ValueError):
    """The record of keys does not lead, signature by signature, to the key in use; the text says where."""


@dataclass(frozen=True)
class Signer:
    """The key in use; `id` is the first half of SHA-256 over its public half, in hexadecimal digits."""

    id: str
    key: Ed25519PrivateKey


@dataclass(frozen=True)
class PublicKey:
    """`since`: ISO 8601, when it took over; None for one that had no predecessor."""

    id: str
    key: Ed25519PublicKey
    since: str | None = None


class SigningKeys:
    """`keys/audit.pem` and `audit/keys.jsonl` of a data folder; several processes may use them at once."""

    def __init__(self, data_dir: Path) -> None:
        self.file = data_dir / "keys" / "audit.pem"
        self.record = data_dir / "audit" / "keys.jsonl"
        self._seen: tuple[int, int] | None = None
        self._signer = self._read()

    @contextmanager
    def in_use(self) -> Iterator[Signer]:
        """The key to sign with, not replaced meanwhile: in a file, its signatures end where the next one's begin."""
        with self._locked(fcntl.LOCK_SH):
            yield self._read()

    def known(self) -> list[PublicKey]:
        """All keys there have been, oldest first; raises BrokenSuccession."""
        recorded = list(self._succession())
        current = self._read()
        if not recorded:
            return [PublicKey(current.id, current.key.public_key())]
        # Between its entry and its taking over, a successor is on record while the one before it still signs.
        if current.id not in [key.id for key in recorded[-2:]]:
            raise BrokenSuccession(f"{self.file.name} holds key {current.id}, which is not the last on record")
        return recorded

    def successor(self) -> Signer:
        """The key that will follow: the one that an interrupted rotation has made, or a new one."""
        return _signer(content_of(self._next, _fresh_key))

    def rotate(self, successor: Signer, now: datetime) -> str:
        """Put the successor, signed by the key in use, on record and in its place; that key's id. The old key is gone.

        Interrupted anywhere it leaves a trail that verifies; `successor` then goes on where it was.
        """
        with self._locked(fcntl.LOCK_EX):
            current = self._read()
            self._put_on_record(current, successor, now.isoformat())
            put_in_place(self._next, self.file)
        return current.id

    @property
    def _next(self) -> Path:
        return self.file.with_name(f"{self.file.name}.next")

    def _put_on_record(self, current: Signer, successor: Signer, at: str) -> None:
        recorded = list(self._succession())
        if recorded and recorded[-1].id == successor.id:
            return
        entries = [] if recorded else [_entry(current, at=None, signed_by=current)]
        entries.append(_entry(successor, at=at, signed_by=current))
        torn = self.record.exists() and not self.record.read_bytes().endswith(b"\n")
        with self.record.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + "".join(f"{json.dumps(entry)}\n" for entry in entries))
            file.flush()
            os.fsync(file.fileno())
        give_to_owner_of(self.record.parent, self.record)
        sync_folder(self.record.parent)

    def _succession(self) -> Iterator[PublicKey]:
        before: PublicKey | None = None
        for entry in self._entries():
            try:
                public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry["public"]))
                key = PublicKey(_id_of(public), public, entry["at"])
                signer = before or key
                signer.key.verify(bytes.fromhex(entry["signature"]), _text(key.id, key.since, signer.id))
            except (KeyError, TypeError, ValueError, InvalidSignature):
                name = entry.get("key", "?") if isinstance(entry, dict) else "?"
                raise BrokenSuccession(f"{self.record.name}: the key before it did not sign key {name}") from None
            yield key
            before = key

    def _entries(self) -> Iterator[Any]:
        if not self.record.exists():
            return
        with self.record.open(encoding="utf-8") as file:
            for line in file:
                # What a process left that was killed while it wrote is no entry.
                if line.endswith("}\n"):
                    yield json.loads(line)

    def _read(self) -> Signer:
        content_of(self.file, _fresh_key)
        status = self.file.stat()
        seen = status.st_ino, status.st_mtime_ns
        if seen != self._seen:
            self._signer, self._seen = _signer(self.file.read_bytes()), seen
        return self._signer

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        """The folder itself: a file for the lock would have an owner, and not everybody who signs be let in."""
        folder = self.record.parent
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in `path`, made on first use with mode 0600."""
    return _signer(content_of(path, _fresh_key)).key


def _signer(content: bytes) -> Signer:
    key = serialization.load_pem_private_key(content, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the key that signs the audit trail is not an Ed25519 key")
    return Signer(_id_of(key.public_key()), key)


def _fresh_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _id_of(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:ID_LENGTH]


def _entry(signer: Signer, *, at: str | None, signed_by: Signer) -> dict[str, Any]:
    signature = signed_by.key.sign(_text(signer.id, at, signed_by.id)).hex()
    public = signer.key.public_key().public_bytes_raw().hex()
    return {"key": signer.id, "public": public, "at": at, "signature": signature}


def _text(key: str, at: str | None, signed_by: str) -> bytes:
    return f"mainstay-audit-key:{key}:{at}:{signed_by}".encode()
