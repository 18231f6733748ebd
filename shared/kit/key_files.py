"""Keys that live in a file: made on first use, once and whole, whoever comes at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from shared.kernel.ids import new_id
from shared.kit.disk import sync_folder, write_durably


def content_of(path: Path, make: Callable[[], bytes]) -> bytes:
    """What is in `path`; written first, from `make`, with mode 0600, when there is nothing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{new_id()}")
        try:
            write_durably(fresh, make())
            # A link is made whole or not at all, and by one process only.
            with suppress(FileExistsError):
                path.hardlink_to(fresh)
            sync_folder(path.parent)
        finally:
            fresh.unlink(missing_ok=True)
    return path.read_bytes()


def put_in_place(fresh: Path, path: Path) -> None:
    """The key in `fresh` takes the place of that in `path`, and its owner, in one step."""
    give_to_owner_of(path, fresh)
    fresh.replace(path)
    sync_folder(path.parent)


def give_to_owner_of(there: Path, path: Path) -> None:
    """Who rotates keys as root must not lock out the user that the processes run as."""
    if os.geteuid() == 0:
        owner = there.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
