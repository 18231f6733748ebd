"""A restic repository as the place of backups: encrypted, and what does not change is kept once."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.kernel.errors import Unavailable

PREFIX = "restic:"
TAG = "mainstay-system"
NEWEST = "latest"
LAST_WORDS = 500


class RepositoryAway(Unavailable):
    """The restic repository does not take or give the backup."""


def is_repository(place: str) -> bool:
    """`restic:` and what restic calls a repository: a folder, rest:https://…, s3:…"""
    return place.startswith(PREFIX)


@contextmanager
def staged() -> Iterator[Path]:
    """The name of a folder that does not exist yet, removed afterwards; TMPDIR says where."""
    with tempfile.TemporaryDirectory(prefix="mainstay-moving-") as parent:
        yield Path(parent) / "backup"


async def keep(place: str, folder: Path, program: str) -> None:
    """Add the folder's content as a snapshot; raises RepositoryAway with restic's own words."""
    await _restic(place, program, ["backup", "--quiet", "--tag", TAG, "--host", "mainstay", "."], within=folder)


async def fetch(place: str, snapshot: str, folder: Path, program: str) -> None:
    """Put a snapshot's content into a folder; raises RepositoryAway with restic's own words."""
    which = ["--tag", TAG, snapshot] if snapshot == NEWEST else [snapshot]
    await _restic(place, program, ["restore", "--quiet", "--target", str(folder), *which], within=folder.parent)


async def _restic(place: str, program: str, arguments: list[str], *, within: Path) -> None:
    """The password comes from restic's own variables, and so do the credentials of a remote place."""
    found = shutil.which(program)
    if found is None:
        raise RepositoryAway(f"There is no {program} on this machine: install restic, or name a folder instead.")
    if not {"RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND"} & os.environ.keys():
        raise RepositoryAway("The repository's password is not known: set RESTIC_PASSWORD_FILE.")
    environment = {**os.environ, "RESTIC_REPOSITORY": place.removeprefix(PREFIX)}
    process = await asyncio.create_subprocess_exec(
        found,
        *arguments,
        cwd=within,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, words = await process.communicate()
    if process.returncode:
        said = words.decode(errors="replace").strip()[-LAST_WORDS:]
        raise RepositoryAway(f"restic {arguments[0]} ended with {process.returncode}: {said}")
