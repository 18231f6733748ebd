"""A folder of backups that are made again and again: each is named after its time, and the oldest make room."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from deploy.moving.packing import UNFINISHED
from shared.kernel.errors import Unavailable
from shared.kit.disk import sync_folder

NAMED = re.compile(rf"\d{{4}}-\d\d-\d\dT\d{{6}}Z({re.escape(UNFINISHED)})?")


class AnotherBackup(Unavailable):
    """Another backup is being made into this folder."""


@contextmanager
def making_room(folder: Path, now: datetime, *, keep: int) -> Iterator[Path]:
    """The name for a new backup in the folder; once it is there, only the newest `keep` stay.

    Raises AnotherBackup. What is not named as a backup of ours is left alone, and what one left unfinished that was
    killed is removed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherBackup() from None
        for path in _backups_in(folder, finished=False):
            shutil.rmtree(path)
        yield folder / f"{now:%Y-%m-%dT%H%M%SZ}"
        for path in _backups_in(folder, finished=True)[:-keep]:
            _remove(path)
    finally:
        os.close(descriptor)


def _backups_in(folder: Path, *, finished: bool) -> list[Path]:
    """The oldest first."""
    ours = [path for path in folder.iterdir() if NAMED.fullmatch(path.name) and path.is_dir()]
    return sorted(path for path in ours if finished != path.name.endswith(UNFINISHED))


def _remove(path: Path) -> None:
    """At once no backup any more: half of one is never taken for a whole one."""
    gone = path.with_name(f"{path.name}{UNFINISHED}")
    path.rename(gone)
    sync_folder(path.parent)
    shutil.rmtree(gone)
