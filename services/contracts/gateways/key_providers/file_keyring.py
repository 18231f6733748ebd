"""The wrapping key in a file of the data folder, or of a mounted secret."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.contracts.gateways.envelope import NONCE_BYTES
from services.contracts.gateways.key_providers.provider import KeyUnknown, WrappedKey
from shared.kit.master_keys import KeyMissing, MasterKey, derived, key_in, name_of

PREFIX = "file:"
_PURPOSE = "mainstay/vault/wrapping-key"
_BOUND_TO = b"mainstay/vault/data-key"


class VaultKeyFile(MasterKey):
    """A successor is in use at once; retired is what may still have to unwrap something."""

    naming = "mainstay/vault/key-name"


class FileKeyring:
    """The files are read each time, so that running processes take up a successor by themselves."""

    def __init__(self, file: Path) -> None:
        self.keys = VaultKeyFile(file)

    def keeps(self, key_id: str) -> bool:
        return key_id.startswith(PREFIX)

    async def current(self) -> str:
        return _key_in(self.keys.file).key_id

    async def wrap(self, data_key: bytes, *, make: bool) -> WrappedKey:
        if make and not self.keys.file.exists():
            self.keys.make()
        return _key_in(self.keys.file).wrap(data_key)

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        # The one in use is read first: who replaces it has put it where the retired one is before.
        for key in (_key_in(self.keys.file), *self._retired()):
            if key.key_id == wrapped.key_id:
                return key.unwrap(wrapped)
        raise KeyUnknown(f"{wrapped.key_id} is not there")

    async def has(self, key_id: str) -> bool:
        """Whether the key of that name is there, in use or retired."""
        try:
            used = [_key_in(self.keys.file)]
        except KeyUnknown:
            used = []
        return key_id in {key.key_id for key in (*used, *self._retired())}

    async def rewrap(self, wrapped: Sequence[WrappedKey]) -> list[WrappedKey]:
        return [await self.wrap(await self.unwrap(each), make=False) for each in wrapped]

    async def succeed(self) -> None:
        """Raises GivenFromOutside and KeyMissing besides."""
        if self.keys.is_beginning or not self.keys.is_retiring:
            self.keys.begin()
            self.keys.switch()

    async def retire(self) -> None:
        self.keys.forget_retired()

    def _retired(self) -> list[_Key]:
        try:
            return [_Key(key_in(self.keys.retired))]
        except KeyMissing:
            return []


class _Key:
    """Name and cipher out of one reading of the file, since another key may take over any time."""

    def __init__(self, master: bytes) -> None:
        self.key_id = f"{PREFIX}{name_of(master, VaultKeyFile.naming)}"
        self._cipher = AESGCM(derived(master, _PURPOSE))

    def wrap(self, data_key: bytes) -> WrappedKey:
        nonce = os.urandom(NONCE_BYTES)
        return WrappedKey(self.key_id, nonce + self._cipher.encrypt(nonce, data_key, _BOUND_TO))

    def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Raises KeyUnknown."""
        nonce, ciphertext = wrapped.content[:NONCE_BYTES], wrapped.content[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, ciphertext, _BOUND_TO)
        except (InvalidTag, ValueError):
            raise KeyUnknown(f"{wrapped.key_id} did not wrap this") from None


def _key_in(file: Path) -> _Key:
    try:
        return _Key(key_in(file))
    except KeyMissing as missing:
        raise KeyUnknown(str(missing)) from missing
