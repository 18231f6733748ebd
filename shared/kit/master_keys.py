"""A master key in a file, and its successor: what derives from it, or is wrapped by it, is given over step by step."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.kit.disk import sync_folder
from shared.kit.key_files import content_of, give_to_owner_of, put_in_place

KEY_BYTES = 32


class KeyMissing(Exception):
    """The master key file is not there, or is not a key."""


class GivenFromOutside(Exception):
    """Only who gives the key can give its successor."""


class MasterKey:
    """Losing the file loses all that it opens, so it is made only where there is nothing to open yet.

    While the key is replaced there are two: its successor in `<file>.next` until it may be used, and then the key
    before in `<file>.retired` until it opens nothing. Where the key is a mounted secret nothing can be written beside
    it: whoever gives it then gives the successor as `<file>` and the key before as `<file>.retired`.
    """

    naming = ""
    """What a key's name derives by; names of keys for other uses differ."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._next = file.with_name(f"{file.name}.next")
        self.retired = file.with_name(f"{file.name}.retired")

    @property
    def name(self) -> str:
        """Tells the key from others, and tells nothing else of it; raises KeyMissing."""
        return self._name_of(self.file)

    @property
    def name_before(self) -> str:
        """Of the key that has, or is to have, a successor; raises KeyMissing."""
        return self._name_of(self.retired if self.is_retiring else self.file)

    @property
    def is_given(self) -> bool:
        """Whether the file cannot be replaced from here, as that of a mounted secret."""
        return os.path.ismount(self.file) or not os.access(self.file.parent, os.W_OK | os.X_OK)

    @property
    def is_beginning(self) -> bool:
        """Whether a successor has been made that is not in use yet."""
        return self._next.exists() and not self.is_given

    @property
    def is_retiring(self) -> bool:
        """Whether the key before the one in use may still open something; raises KeyMissing.

        An empty file is none, because Compose mounts no secret that is not there.
        """
        return self.retired.exists() and _content(self.retired) not in {b"", _content(self.file)}

    def insist_on_successor(self) -> None:
        """Raises GivenFromOutside where one has to be given and is not, KeyMissing when there is none to follow."""
        key_in(self.file)
        if self.is_retiring:
            key_in(self.retired)
        elif self.is_given:
            raise GivenFromOutside(f"{self.file} comes from outside")

    def begin(self) -> None:
        """Make the successor, unless there is one; raises GivenFromOutside, KeyMissing."""
        self.insist_on_successor()
        content_of(self._next, lambda: os.urandom(KEY_BYTES))

    def switch(self) -> None:
        """The successor is in use from now on, the key before it retired. Killed in between, it is called again."""
        content_of(self.retired, self.file.read_bytes)
        give_to_owner_of(self.file, self.retired)
        put_in_place(self._next, self.file)

    def forget_retired(self) -> None:
        """Where it was given, only who gave it can take it away."""
        if not self.is_given:
            self.retired.unlink(missing_ok=True)
            sync_folder(self.file.parent)

    def make(self) -> None:
        """Unless there is one."""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content_of(self.file, lambda: os.urandom(KEY_BYTES))

    def _name_of(self, file: Path) -> str:
        return name_of(key_in(file), self.naming)


def name_of(key: bytes, naming: str) -> str:
    return derived(key, naming)[:8].hex()


def derived(key: bytes, purpose: str) -> bytes:
    """32 bytes by HKDF-SHA256."""
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(key)


def key_in(file: Path) -> bytes:
    """Raises KeyMissing."""
    master = _content(file)
    if len(master) < KEY_BYTES:
        raise KeyMissing(f"{file.name} holds fewer than {KEY_BYTES} bytes")
    return master


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeyMissing(f"{file.name} cannot be read") from error
