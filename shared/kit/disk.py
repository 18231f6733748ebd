"""Files that are whole and durable or not there, and a disk without room as a refusal."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.kernel.errors import NoRoom

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Raises NoRoom where the disk, or what this user may have of it, is full; other trouble as it comes."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoom() from error
        raise


def write_durably(path: Path, content: bytes) -> None:
    """A new file of its owner's alone; the caller removes what an OSError leaves of it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
