"""restic, the program that makes, keeps and restores the backups: what we ask of it, and how it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from services.backup.domain.protection import LOCAL, Place

MOST_LISTED = 1_000


class ResticMissing(Exception):
    """The restic program is not on this machine."""


class ResticFailed(Exception):
    """restic ended with an error; the text holds no secret."""


class RepositoryBusy(Exception):
    """Another process is backing up to this repository."""


class DeletionRefused(ResticFailed):
    """Where the repository is, nothing may be deleted."""


class NotInSnapshot(Exception):
    """The snapshot has no file at that path."""


class NoRepository(ResticFailed):
    """There is no repository at that place."""


class WrongPassword(ResticFailed):
    """The repository does not open with this password."""


@dataclass(frozen=True)
class Repository:
    """The repository of one protection, in the folder of its server."""

    server_id: UUID
    protection_id: UUID
    place: Place = LOCAL

    @property
    def name(self) -> str:
        return f"{self.server_id}/{self.protection_id}"


@dataclass(frozen=True)
class Snapshot:
    id: str
    files: int
    bytes: int


@dataclass(frozen=True)
class SnapshotFile:
    path: str
    bytes: int


class Restic(Protocol):
    """Every method raises ResticMissing and ResticFailed."""

    async def find(self, repository: Repository, tag: str) -> Snapshot | None:
        """The snapshot that has the tag; None also when there is no repository yet."""
        ...

    async def back_up(self, repository: Repository, folder: Path, *, tag: str, at: datetime) -> Snapshot:
        """A complete snapshot of `folder` under `tag`: the one that is there, or a new one; raises RepositoryBusy."""
        ...

    async def forget(self, repository: Repository, snapshot_id: str) -> None:
        """Take a snapshot that did not prove itself out of sight."""
        ...

    async def hash_of(self, repository: Repository, snapshot_id: str, path: str) -> str:
        """SHA-256 of a file read back from the snapshot; raises NotInSnapshot."""
        ...

    async def restore(self, repository: Repository, snapshot_id: str, path: str, to: Path) -> tuple[str, int]:
        """Put a file of the snapshot at `to`, all at once; returns SHA-256 and bytes; raises NotInSnapshot."""
        ...

    async def files(self, repository: Repository, snapshot_id: str) -> list[SnapshotFile]:
        """The snapshot's first MOST_LISTED files."""
        ...

    async def delete(self, repository: Repository) -> None:
        """Delete the repository; no error when it is gone already; raises RepositoryBusy."""
        ...
