"""Evidence of a payment: a small PDF, PNG or JPEG that is what it says it is (clause 3.2)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import ClassVar

from shared.kernel.errors import Invalid, NotFound, TooLarge, Unavailable, WrongMediaType

LARGEST_BYTES = 5 * 1024 * 1024
LONGEST_NAME = 100
MAGIC = {
    "application/pdf": b"%PDF-",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
}


class NoEvidence(Invalid):
    """A payment is reported with evidence: a file or the bank's reference."""

    clause: ClassVar[str | None] = "3.2"


class EvidenceTooLarge(TooLarge):
    """Evidence is at most 5 MiB."""

    clause: ClassVar[str | None] = "3.2"


class EvidenceOfWrongType(WrongMediaType):
    """Evidence is a PDF, PNG or JPEG, by its declared type and by its content."""

    clause: ClassVar[str | None] = "3.2"


class NoSuchEvidence(NotFound):
    """There is no such evidence, or it is not yours."""


class EvidenceAway(Unavailable):
    """The evidence file cannot be read at the moment."""


@dataclass(frozen=True)
class Upload:
    """A file as it came in; nothing about it has been checked."""

    name: str
    declared_type: str
    content: bytes


@dataclass(frozen=True)
class Evidence:
    """What the row keeps of a file; the bytes are found by their SHA-256."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str


def evidence_of(upload: Upload, *, agreement_version: str) -> Evidence:
    """Raises EvidenceTooLarge, EvidenceOfWrongType."""
    if len(upload.content) > LARGEST_BYTES:
        raise EvidenceTooLarge(field="evidence", agreement_version=agreement_version)
    media_type = upload.declared_type.partition(";")[0].strip().lower()
    magic = MAGIC.get(media_type)
    if magic is None or not upload.content.startswith(magic):
        raise EvidenceOfWrongType(field="evidence", agreement_version=agreement_version)
    return Evidence(
        name=safe_name(upload.name),
        media_type=media_type,
        size_bytes=len(upload.content),
        sha256=hashlib.sha256(upload.content).hexdigest(),
    )


def safe_name(name: str) -> str:
    """The last part of a file name without anything a file system, header or page could trip over."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(character if character.isalnum() or character in "-_. " else "_" for character in last)
    stem, dot, suffix = kept.strip(" .").rpartition(".")
    return (f"{stem[: LONGEST_NAME - 12]}{dot}{suffix[:10]}" if stem else suffix[:LONGEST_NAME]) or "evidence"
