"""The folders this service reads and writes: source files of servers, and restored copies."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from uuid import UUID

from services.backup.domain.run import Sample
from services.backup.domain.source_path import PARTIAL_PREFIX, NoSuchFile, PathInUse
from shared.kernel.ids import new_id
from shared.kit.disk import room_on_disk

MOST_FILES_LISTED = 200
STALE_PARTIAL_SECONDS = 3600
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class StoredFile:
    path: str
    bytes: int
    sha256: str | None = None


class FileStore:
    """Plain files under the data folder; links are never followed out of a server's folder."""

    def __init__(self, data_dir: Path) -> None:
        self._sources = data_dir / "sources"
        self._restores = data_dir / "restores"

    def source_folder(self, server_id: UUID) -> Path:
        return self._sources / str(server_id)

    def restored(self, restore_id: UUID) -> Path:
        """Where the restored copy is put; its folder exists afterwards."""
        self._restores.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._restores / str(restore_id)

    async def store(self, server_id: UUID, path: str, content: bytes) -> StoredFile:
        """Put `content` at the checked relative `path`, durable and all at once; raises PathInUse, NoRoom."""
        with room_on_disk():
            return await asyncio.to_thread(self._store, server_id, path, content)

    async def remove(self, server_id: UUID, path: str) -> None:
        """Raises NoSuchFile."""
        await asyncio.to_thread(self._remove, server_id, path)

    async def listed(self, server_id: UUID, *, after: str | None, limit: int) -> list[StoredFile]:
        """Regular files in path order after `after`, at most `limit`."""
        return await asyncio.to_thread(self._listed, self.source_folder(server_id), after, limit)

    async def sample(self, server_id: UUID, seed: UUID) -> Sample | None:
        """One file, always the same for the same `seed` and files; None when there is nothing to back up."""
        return await asyncio.to_thread(self._sample, self.source_folder(server_id), seed)

    async def hash_of(self, server_id: UUID, path: str) -> str | None:
        """SHA-256 of a source file as it is now; None when it is gone."""
        return await asyncio.to_thread(_hash_or_none, self.source_folder(server_id), path)

    async def discard_restored(self, restore_id: UUID) -> None:
        await asyncio.to_thread(self.restored(restore_id).unlink, missing_ok=True)

    def _store(self, server_id: UUID, path: str, content: bytes) -> StoredFile:
        folder = self.source_folder(server_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        *parents, name = path.split("/")
        partial = f"{PARTIAL_PREFIX}{new_id()}"
        try:
            with _folder_below(folder, parents, make=True) as where:
                try:
                    _write(partial, content, where)
                    os.rename(partial, name, src_dir_fd=where, dst_dir_fd=where)
                    os.fsync(where)
                except BaseException:
                    with suppress(FileNotFoundError):
                        os.unlink(partial, dir_fd=where)
                    raise
        except (NotADirectoryError, IsADirectoryError) as error:
            raise PathInUse(field="path") from error
        return StoredFile(path, len(content), hashlib.sha256(content).hexdigest())

    def _remove(self, server_id: UUID, path: str) -> None:
        *parents, name = path.split("/")
        try:
            with _folder_below(self.source_folder(server_id), parents) as where:
                os.unlink(name, dir_fd=where)
                os.fsync(where)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise NoSuchFile() from error

    def _listed(self, folder: Path, after: str | None, limit: int) -> list[StoredFile]:
        found = ((path, size) for path, size in _walk(folder) if _is_text(path) and path > (after or ""))
        return [StoredFile(path, size) for path, size in nsmallest(limit, found)]

    def _sample(self, folder: Path, seed: UUID) -> Sample | None:
        chosen: tuple[bytes, str] | None = None
        count = 0
        for path, _size in _walk(folder):
            count += 1
            if _is_text(path):
                rank = hashlib.sha256(seed.bytes + path.encode()).digest()
                chosen = min(chosen, (rank, path)) if chosen else (rank, path)
        digest = _hash_or_none(folder, chosen[1]) if chosen else None
        return Sample(chosen[1], digest, count) if chosen and digest else None


@contextmanager
def _folder_below(folder: Path, names: list[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder `names` below `folder`; a link on the way is NotADirectoryError."""
    current = os.open(folder, _FOLDER)
    try:
        for name in names:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=current)
                    os.fsync(current)
            deeper = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = deeper
        yield current
    finally:
        os.close(current)


def _write(name: str, content: bytes, folder: int) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Regular files below `folder` with their size; what a killed upload left is swept on the way."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(PARTIAL_PREFIX)]
        for name in names:
            path = os.path.join(parent, name)
            with suppress(FileNotFoundError):
                found = os.lstat(path)
                if name.startswith(PARTIAL_PREFIX):
                    if found.st_mtime < time.time() - STALE_PARTIAL_SECONDS:
                        os.unlink(path)
                elif stat.S_ISREG(found.st_mode):
                    yield os.path.relpath(path, folder), found.st_size


def _is_text(path: str) -> bool:
    """Names that are not UTF-8 (from a mount) are backed up, and cannot be shown."""
    return path.isprintable() or not any("\ud800" <= letter <= "\udfff" for letter in path)


def _hash_or_none(folder: Path, path: str) -> str | None:
    *parents, name = path.split("/")
    try:
        with _folder_below(folder, parents) as where:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=where)
            with os.fdopen(descriptor, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
