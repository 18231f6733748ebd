"""Repository passwords: derived one by one from a master key that lives in a file, outside every database."""

from __future__ import annotations

import base64
from pathlib import Path

from shared.kit.master_keys import KEY_BYTES, GivenFromOutside, KeyMissing, MasterKey, derived, key_in

__all__ = ["KEY_BYTES", "GivenFromOutside", "KeyMissing", "RepositoryKeys"]


class RepositoryKeys(MasterKey):
    """A successor is in use once every repository opens with it; retired is what may still open some."""

    naming = "mainstay/backup/key-name"

    def password_of(self, repository: str, *, make: bool = False) -> str:
        """The password of that repository, HKDF-SHA256 over its name; raises KeyMissing."""
        if make and not self.file.exists():
            self.make()
        return _password(self.file, repository)

    def passwords_of(self, repository: str) -> list[str]:
        """What may open it, the password in use first; raises KeyMissing."""
        return [self.password_of(repository), *([self.retired_password_of(repository)] if self.is_retiring else [])]

    def next_password_of(self, repository: str) -> str:
        return _password(self._next, repository)

    def retired_password_of(self, repository: str) -> str:
        return _password(self.retired, repository)


def _password(file: Path, repository: str) -> str:
    password = derived(key_in(file), f"mainstay/backup/repository/{repository}")
    return base64.urlsafe_b64encode(password).decode().rstrip("=")
