"""Writes an evidence bundle: a zip that is the same, byte for byte, for the same content, and bounded."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from services.contracts.domain.evidence_bundle import (
    LARGEST_BUNDLE_BYTES,
    MANIFEST,
    MOST_ENTRIES,
    SIGNATURE,
    BundleTooLarge,
    Entry,
    canonical,
    is_plain_name,
    manifest_of,
    signed_text,
)
from shared.kernel.errors import Unavailable
from shared.kit.signing_keys import SigningKeys

HELD_BYTES = 4 * 1024 * 1024
"""Kept in memory; what is beyond is on disk."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16

Write = Callable[[bytes], None]


class SigningKeyAway(Unavailable):
    """The key that signs evidence cannot be read."""


class BundleWriter:
    """Entries one after the other, then `finish`."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=HELD_BYTES)  # noqa: SIM115 - handed out, closed by who sends it
        self._zip = zipfile.ZipFile(cast(BinaryIO, self._file), "w", zipfile.ZIP_STORED)
        self._bytes = 0
        self.entries: list[Entry] = []

    @contextmanager
    def entry(self, name: str) -> Iterator[Write]:
        """What writes the entry's bytes; raises BundleTooLarge."""
        if not is_plain_name(name):
            raise ValueError(f"{name!r} is no name of an entry")
        if len(self.entries) == MOST_ENTRIES:
            raise BundleTooLarge()
        digest, size = hashlib.sha256(), 0
        with self._zip.open(_named(name), "w") as stream:

            def write(content: bytes) -> None:
                nonlocal size
                size += len(content)
                self._bytes += len(content)
                if self._bytes > LARGEST_BUNDLE_BYTES:
                    raise BundleTooLarge(largest_bytes=LARGEST_BUNDLE_BYTES)
                digest.update(content)
                stream.write(content)

            yield write
        self.entries.append(Entry(name, size, digest.hexdigest()))

    @contextmanager
    def listed(self, name: str) -> Iterator[Callable[[Any], None]]:
        """What writes one item after the other, JSON-ready or canonical already, into a JSON array."""
        with self.entry(name) as write:
            before = b"["

            def write_item(item: Any) -> None:
                nonlocal before
                write(before + (item if isinstance(item, bytes) else canonical(item)))
                before = b","

            yield write_item
            write(b"[]" if before == b"[" else b"]")

    def add(self, name: str, content: bytes) -> None:
        with self.entry(name) as write:
            write(content)

    def finish(self, subject: dict[str, Any], keys: Callable[[], SigningKeys]) -> BinaryIO:
        """Manifest and signature, and the whole file from its beginning; raises SigningKeyAway."""
        manifest = manifest_of(subject, self.entries)
        for name, content in ((MANIFEST, manifest), (SIGNATURE, _signature(manifest, keys))):
            with self._zip.open(_named(name), "w") as stream:
                stream.write(content)
        self._zip.close()
        self._file.seek(0)
        return cast(BinaryIO, self._file)

    def abandon(self) -> None:
        with self._file, suppress(OSError, ValueError):
            self._zip.close()


def _signature(manifest: bytes, keys: Callable[[], SigningKeys]) -> bytes:
    try:
        with keys().in_use() as signer:
            signature = signer.key.sign(signed_text(manifest)).hex()
            public = signer.key.public_key().public_bytes_raw().hex()
            return canonical({"key": signer.id, "public": public, "signature": signature})
    except (OSError, ValueError) as trouble:
        raise SigningKeyAway() from trouble


def _named(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=_LONG_AGO)
    # Otherwise the machine that made it would show.
    info.create_system, info.external_attr = 3, _READABLE
    return info
