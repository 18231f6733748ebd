"""Checks an evidence bundle with nothing but the file: what does not hold is named, the first of it only."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.contracts.domain.evidence_bundle import (
    FORMAT,
    GENESIS,
    LARGEST_BUNDLE_BYTES,
    MANIFEST,
    MOST_ENTRIES,
    SIGNATURE,
    Entry,
    is_plain_name,
    link,
    signed_text,
)
from shared.kit.audit_trail import row_hash
from shared.kit.signing_keys import ID_LENGTH

LARGEST_FILE_BYTES = 2 * LARGEST_BUNDLE_BYTES
LARGEST_MANIFEST_BYTES = 1024 * 1024
CHUNK_BYTES = 1024 * 1024
AUDIT_ROWS, ACCEPTANCES = "audit.json", "acceptances.json"
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.ASCII)


class BrokenLink(Exception):
    """The first place at which a bundle does not hold; the text says why."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class NoKey(ValueError):
    """What was named is no public key, nor the id of one."""


@dataclass(frozen=True)
class Verified:
    """`subject` as the manifest has it; `key` the id of who signed, `is_known` whether that was asked for by name."""

    subject: dict[str, str]
    key: str
    is_known: bool
    entries: int
    audit_rows: int


def verify(file: Path, trusted: Collection[str] = ()) -> Verified:
    """Check all of it; `trusted` are ids of keys, none: the bundle's own is believed. Raises BrokenLink, OSError."""
    if file.stat().st_size > LARGEST_FILE_BYTES:
        raise BrokenLink(file.name, f"is larger than {LARGEST_FILE_BYTES} bytes")
    try:
        with zipfile.ZipFile(file) as bundle:
            return _Check(bundle, trusted).outcome()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError):
        raise BrokenLink(file.name, "is cut off, or no zip at all") from None


def key_id(text: str) -> str:
    """The id of a key that is named by its id, by its public half in hexadecimal, or by a file in PEM; raises NoKey."""
    if _HEXADECIMAL.fullmatch(text) and len(text) == ID_LENGTH:
        return text
    if _HEXADECIMAL.fullmatch(text) and len(text) == 64:
        return _id_of(bytes.fromhex(text))
    try:
        key = serialization.load_pem_public_key(Path(text).read_bytes())
    except (OSError, ValueError):
        raise NoKey(f"{text} is no public key: give its id, its 64 hexadecimal digits or a PEM file") from None
    if not isinstance(key, Ed25519PublicKey):
        raise NoKey(f"{text} is no Ed25519 key")
    return _id_of(key.public_bytes_raw())


class _Check:
    def __init__(self, bundle: zipfile.ZipFile, trusted: Collection[str]) -> None:
        self._bundle, self._trusted = bundle, trusted

    def outcome(self) -> Verified:
        """Names and sizes, the manifest's chain, its signature, then file by file, and the audit rows inside."""
        members = self._bundle.infolist()
        _insist_on_harmless(members)
        manifest = self._read(MANIFEST, LARGEST_MANIFEST_BYTES)
        subject, entries = _chained(manifest)
        key = self._signed_by(manifest)
        self._insist_on_order([member.filename for member in members], entries)
        digests = {entry.name: self._insist_on_content(entry) for entry in entries}
        rows = self._insist_on_audit_rows(entries, subject["customer_id"])
        self._insist_on_texts(digests)
        return Verified(subject, key, key in self._trusted, len(entries), rows)

    def _signed_by(self, manifest: bytes) -> str:
        try:
            said = json.loads(self._read(SIGNATURE, LARGEST_MANIFEST_BYTES))
            public, signature = bytes.fromhex(said["public"]), bytes.fromhex(said["signature"])
            named, key = said["key"], Ed25519PublicKey.from_public_bytes(public)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BrokenLink(SIGNATURE, "is no signature") from None
        if named != _id_of(public):
            raise BrokenLink(SIGNATURE, "names another key than the one it carries")
        if self._trusted and named not in self._trusted:
            raise BrokenLink(SIGNATURE, f"key {named} is unknown: it is none of those that were given")
        try:
            key.verify(signature, signed_text(manifest))
        except InvalidSignature:
            raise BrokenLink(SIGNATURE, f"the signature of key {named} does not hold") from None
        return str(named)

    def _insist_on_order(self, names: list[str], entries: list[Entry]) -> None:
        expected, present = [*(entry.name for entry in entries), MANIFEST, SIGNATURE], set(names)
        for name, found in zip_longest(expected, names):
            if name is not None and name not in present:
                raise BrokenLink(name, "is missing")
            if found is not None and found not in expected:
                raise BrokenLink(found, "is not in the manifest")
            if found != name:
                raise BrokenLink(str(name), f"is not at its place, where {found} is")

    def _insist_on_content(self, entry: Entry) -> str:
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks(entry.name, entry.bytes):
            digest.update(chunk)
            size += len(chunk)
        if (size, digest.hexdigest()) != (entry.bytes, entry.sha256):
            raise BrokenLink(entry.name, "has been changed: its SHA-256 is not the manifest's")
        return entry.sha256

    def _insist_on_audit_rows(self, entries: list[Entry], chain: str) -> int:
        """Each row has the hash it was sealed with, and follows from the one before where that is here too."""
        if AUDIT_ROWS not in {entry.name for entry in entries}:
            return 0
        seq, last = 0, GENESIS
        rows = self._json(AUDIT_ROWS)
        for number, row in enumerate(rows, start=1):
            try:
                place, at = int(row["seq"]), datetime.fromisoformat(row["at"])
                sealed = row_hash(row["before"], chain, place, at, row["event"])
                follows = place > seq and (place != seq + 1 or row["before"] == last)
                holds = follows and row["chain"] == chain and row["hash"] == sealed
                seq, last = place, row["hash"]
            except (KeyError, TypeError, ValueError):
                holds = False
            if not holds:
                raise BrokenLink(f"{AUDIT_ROWS}, entry {number}", "does not have the hash it was sealed with")
        return len(rows)

    def _insist_on_texts(self, digests: dict[str, str]) -> None:
        """What was accepted is the very text in here."""
        if ACCEPTANCES not in digests:
            return
        for row in self._json(ACCEPTANCES):
            if not isinstance(row, dict) or digests.get(str(row.get("text"))) != row.get("text_sha256"):
                raise BrokenLink(ACCEPTANCES, "a text in the bundle is not the one that was accepted")

    def _json(self, name: str) -> list[Any]:
        try:
            found = json.loads(self._read(name, LARGEST_BUNDLE_BYTES))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list):
            raise BrokenLink(name, "is not the list that it should be")
        return found

    def _read(self, name: str, largest: int) -> bytes:
        if name not in self._bundle.namelist():
            raise BrokenLink(name, "is missing")
        return b"".join(self._chunks(name, largest))

    def _chunks(self, name: str, largest: int) -> Iterator[bytes]:
        """What unpacks, as far as it may: what a zip says of its sizes is not believed."""
        size = 0
        try:
            with self._bundle.open(name) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    size += len(chunk)
                    if size > largest:
                        raise BrokenLink(name, f"unpacks to more than its {largest} bytes")
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):
            raise BrokenLink(name, "is damaged, or cut off") from None


def _insist_on_harmless(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_ENTRIES + 2:
        raise BrokenLink("the bundle", f"has more than {MOST_ENTRIES} files")
    seen: set[str] = set()
    for member in members:
        # As it is stored: zipfile itself cuts a name at its first NUL.
        name = member.orig_filename
        if not is_plain_name(name):
            raise BrokenLink(ascii(name[:120]), "is a name that may lead outside, or hides something")
        if name in seen:
            raise BrokenLink(name, "is there twice")
        seen.add(name)
        if member.compress_type not in _METHODS or member.flag_bits & _ENCRYPTED:
            raise BrokenLink(name, "is packed in a way that no bundle is")
    total = sum(member.file_size for member in members)
    if total > LARGEST_BUNDLE_BYTES + 2 * LARGEST_MANIFEST_BYTES:
        raise BrokenLink("the bundle", f"would unpack to {total} bytes")


def _chained(manifest: bytes) -> tuple[dict[str, str], list[Entry]]:
    """Subject and entries of a manifest whose chain holds; raises BrokenLink."""
    try:
        said = json.loads(manifest)
        listed, chain, about = list(said["entries"]), said["chain"], said["subject"]
        subject = {name: str(UUID(about[name])) for name in ("id", "contract_id", "customer_id")}
        subject["kind"] = {"contract": "contract", "incident": "incident"}[about["kind"]]
        entries = [Entry(str(each["name"]), int(each["bytes"]), str(each["sha256"])) for each in listed]
        links = [each["chain"] for each in listed]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BrokenLink(MANIFEST, "is no manifest") from None
    if said.get("format") != FORMAT:
        raise BrokenLink(MANIFEST, f"is of another format than {FORMAT}")
    if not all(is_plain_name(entry.name) for entry in entries):
        raise BrokenLink(MANIFEST, "has a name that may lead outside, or hides something")
    before = GENESIS
    for place, (entry, claimed) in enumerate(zip(entries, links, strict=True), start=1):
        before = link(before, place, entry)
        if before != claimed:
            raise BrokenLink(entry.name, f"entry {place} of the manifest does not follow from the one before it")
    if before != chain:
        raise BrokenLink(MANIFEST, "does not end with the hash of its last entry")
    return subject, entries


def _id_of(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:ID_LENGTH]
