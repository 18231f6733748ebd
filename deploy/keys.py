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
from services.backup.gateways.keys import RepositoryKeys
from services.backup.settings import BackupSettings
from services.contracts.gateways import transit_of, vault_key_file
from services.contracts.gateways.key_providers.file_keyring import VaultKeyFile
from services.contracts.settings import ContractsSettings
from shared.kernel.errors import Unavailable
from shared.kit.key_files import give_to_owner_of
from shared.kit.master_keys import KeyMissing, MasterKey
from shared.kit.runtime import development_key_file
from shared.kit.settings import CommonSettings
from shared.kit.signing_keys import BrokenSuccession, SigningKeys


class AnotherRotation(Unavailable):
    """Another rotation of keys is running in this data folder."""


GO_ON = "`mainstay keys rotate {}` goes on with it"


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


def listed(common: CommonSettings, backup: BackupSettings, contracts: ContractsSettings) -> list[Key]:
    """Production has no development issuer, and a transit engine lists its keys itself."""
    found = [_audit(common.data_dir.absolute()), _backup(keys_of(backup, common))]
    file = vault_key_file(contracts, common)
    if transit_of(contracts) is None or file.exists():
        found.append(_vault(VaultKeyFile(file)))
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
    return _master(keys, _Kind("backup", "the passwords of all repositories derive from it", "repositories"))


def _vault(keys: VaultKeyFile) -> Key:
    return _master(keys, _Kind("vault", "wraps the keys of the secrets in the vault", "secrets"))


def _master(keys: MasterKey, key: _Kind) -> Key:
    try:
        name = keys.name
    except KeyMissing as missing:
        return key.at(keys.file, f"wrong: {missing}" if keys.file.exists() else "not made yet")
    if keys.is_beginning:
        return key.at(keys.file, f"in use, but a rotation has begun: {GO_ON.format(key.name)}", name)
    if keys.is_retiring:
        before = f"the one before it may still open {key.opens}"
        return key.at(keys.file, f"in use, but {before}: {GO_ON.format(key.name)}", name)
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
    opens: str = ""

    def at(self, file: Path, state: str, name: str | None = None) -> Key:
        since = datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else None
        return Key(self.name, name, state, since, self.purpose, str(file))
