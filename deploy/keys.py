"""The keys of an installation that live in its data folder: which there are, and in what state each is."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from services.backup.gateways import keys_of
from services.backup.gateways.keys import KeyMissing, RepositoryKeys
from services.backup.settings import BackupSettings
from shared.kernel.errors import Unavailable
from shared.kit.key_files import give_to_owner_of
from shared.kit.runtime import development_key_file
from shared.kit.settings import CommonSettings
from shared.kit.signing_keys import BrokenSuccession, SigningKeys


class AnotherRotation(Unavailable):
    """Another rotation of keys is running in this data folder."""


GO_ON = "`mainstay keys rotate backup` goes on with it"


@dataclass(frozen=True)
class Key:
    """One key as `mainstay keys list` tells of it; `id` names it and opens nothing."""

    kind: str
    id: str | None
    state: str
    since: datetime | None
    purpose: str
    file: str


@contextmanager
def rotating(common: CommonSettings) -> Iterator[None]:
    """Alone in this data folder until the end; raises AnotherRotation."""
    folder = common.data_dir.absolute() / "keys"
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        give_to_owner_of(folder.parent, folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherRotation() from None
        yield
    finally:
        os.close(descriptor)


def listed(common: CommonSettings, backup: BackupSettings) -> list[Key]:
    """Production has no development issuer."""
    found = [_audit(common.data_dir.absolute()), _backup(keys_of(backup, common))]
    return found if common.mode == "production" else [*found, _issuer(development_key_file(common))]


def _audit(data: Path) -> Key:
    file, key = data / "keys" / "audit.pem", _Kind("audit", "signs the heads of audit trails")
    if not file.exists():
        return key.at(file, "not made yet")
    try:
        known = SigningKeys(data).known()
    except BrokenSuccession as broken:
        return key.at(file, f"wrong: {broken}")
    return key.at(file, f"in use, {len(known) - 1} before it" if known[1:] else "in use", known[-1].id)


def _backup(keys: RepositoryKeys) -> Key:
    key = _Kind("backup", "the passwords of all repositories derive from it")
    try:
        name = keys.name
    except KeyMissing as missing:
        return key.at(keys.file, f"wrong: {missing}" if keys.file.exists() else "not made yet")
    if keys.is_beginning:
        return key.at(keys.file, f"in use, but a rotation has begun: {GO_ON}", name)
    if keys.is_retiring:
        return key.at(keys.file, f"in use, but the one before it may still open repositories: {GO_ON}", name)
    return key.at(keys.file, "in use", name)


def _issuer(file: Path) -> Key:
    key = _Kind("development-issuer", "signs development tokens")
    if not file.exists():
        return key.at(file, "not made yet")
    try:
        return key.at(file, "in use", str(json.loads(file.read_bytes())["kid"]))
    except (ValueError, KeyError, TypeError):
        return key.at(file, "wrong: it is no key")


@dataclass(frozen=True)
class _Kind:
    name: str
    purpose: str

    def at(self, file: Path, state: str, name: str | None = None) -> Key:
        since = datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else None
        return Key(self.name, name, state, since, self.purpose, str(file))
