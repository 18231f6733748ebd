"""One process (or one supervisor) at a time works on a data folder; the kernel forgets the lock when it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FolderInUse(Exception):
    """Another Mainstay works on this data folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder meanwhile; raises FolderInUse in one clear line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "mainstay.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise FolderInUse(f"The data folder {folder} cannot be used: {error.strerror}.") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(handle, 20).decode(errors="replace").strip()
            by = f" (process {holder})" if holder else ""
            raise FolderInUse(f"Another Mainstay{by} is using the data folder {folder}.") from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)
