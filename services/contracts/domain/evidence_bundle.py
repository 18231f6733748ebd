"""The form of an evidence bundle: files in an order, a manifest that chains them by hash, and what is signed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.kernel.errors import Conflict

FORMAT = "mainstay-evidence/1"
MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
GENESIS = "0" * 64
LARGEST_BUNDLE_BYTES = 128 * 1024 * 1024
MOST_ENTRIES = 500

_NAME = re.compile(r"(?:[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*", re.ASCII)


class BundleTooLarge(Conflict):
    """There is more on record than one bundle takes."""


@dataclass(frozen=True)
class Entry:
    """One file of the bundle."""

    name: str
    bytes: int
    sha256: str


def canonical(value: Any) -> bytes:
    """JSON in one form only: sorted names, no space, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def is_plain_name(name: str) -> bool:
    """A name in lower case, at most one folder deep, that leads nowhere else and hides no character."""
    return len(name) <= 120 and _NAME.fullmatch(name) is not None


def link(before: str, place: int, entry: Entry) -> str:
    """SHA-256 (hex) that ties the entry at `place`, counted from 1, to all before it."""
    return hashlib.sha256(canonical([before, place, entry.name, entry.bytes, entry.sha256])).hexdigest()


def manifest_of(subject: dict[str, Any], entries: Iterable[Entry]) -> bytes:
    """Canonical; `subject` says what the bundle is about, JSON-ready."""
    before, listed = GENESIS, []
    for place, entry in enumerate(entries, start=1):
        before = link(before, place, entry)
        listed.append({"name": entry.name, "bytes": entry.bytes, "sha256": entry.sha256, "chain": before})
    return canonical({"format": FORMAT, "subject": subject, "entries": listed, "chain": before})


def signed_text(manifest: bytes) -> bytes:
    """What the signature is over; nothing else that the same key signs begins like this."""
    return b"mainstay-evidence:" + hashlib.sha256(manifest).hexdigest().encode()
