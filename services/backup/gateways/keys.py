"""Repository passwords: derived one by one from a master key that lives in a file, outside every database."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.kit.key_files import content_of

KEY_BYTES = 32


class KeyMissing(Exception):
    """The master key file is not there, or is not a key."""


class RepositoryKeys:
    """Losing the file makes every repository unreadable, so it is made only where there is nothing to read yet."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def password_of(self, repository: str, *, make: bool = False) -> str:
        """The password of that repository, HKDF-SHA256 over its name; raises KeyMissing."""
        if make and not self._file.exists():
            self._make()
        try:
            master = self._file.read_bytes()
        except OSError as error:
            raise KeyMissing(f"{self._file.name} cannot be read") from error
        if len(master) < KEY_BYTES:
            raise KeyMissing(f"{self._file.name} holds fewer than {KEY_BYTES} bytes")
        derive = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=f"mainstay/backup/repository/{repository}".encode())
        return base64.urlsafe_b64encode(derive.derive(master)).decode().rstrip("=")

    def _make(self) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content_of(self._file, lambda: os.urandom(KEY_BYTES))
