"""The real restic behind its Protocol: repositories in a folder, or wherever a restic URL leads."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from services.backup.domain.protection import LOCAL, Place
from services.backup.domain.source_path import PARTIAL_PREFIX
from services.backup.gateways.keys import KeyMissing, RepositoryKeys
from services.backup.gateways.restic import (
    MOST_LISTED,
    NotInSnapshot,
    Repository,
    RepositoryBusy,
    ResticFailed,
    ResticMissing,
    Snapshot,
    SnapshotFile,
)
from services.backup.gateways.restic_program import NO_REPOSITORY, Session, clean_environment, lines
from shared.kernel.ids import new_id

_INCOMPLETE = 3


class ResticClient:
    """Runs the program. Secrets go through the environment; what it says is bounded and scrubbed."""

    def __init__(
        self,
        program: str,
        *,
        base: str,
        keys: RepositoryKeys,
        state: Path,
        backup_seconds: float = 6 * 3600,
        deleting_base: str | None = None,
        place: Place = LOCAL,
    ) -> None:
        """`base`: a folder, or a restic URL prefix; `state`: folder for locks and the cache.

        `deleting_base`: the same repositories where snapshots can be deleted, when `base` takes additions only.
        Only the local one makes the key: where it is lost, its repositories tell that there was one.
        """
        self._place_of_it = place
        self._program = program
        self._base = base.rstrip("/")
        self._deleting_base = (deleting_base or base).rstrip("/")
        self._keys = keys
        self._state = state
        self._backup_seconds = backup_seconds
        self._version: tuple[str, tuple[int, int]] | None = None

    async def find(self, repository: Repository, tag: str) -> Snapshot | None:
        if self._is_local and not (self._path(repository) / "config").exists():
            self._executable()
            return None
        async with self._session(repository) as session:
            return await self._found(session, tag)

    async def back_up(self, repository: Repository, folder: Path, *, tag: str, at: datetime) -> Snapshot:
        with self._locked(repository) as lock:
            fresh = await self._make_repository(repository)
            async with self._session(repository, lock) as session:
                if not fresh:
                    await session.unlock()
                    if (found := await self._found(session, tag)) is not None:
                        return found
                try:
                    return await self._new_snapshot(session, folder, tag=tag, host=str(repository.server_id), at=at)
                except _Incomplete:
                    # Left there, it would be taken for the backup at the next attempt.
                    await self._forget_tagged(repository, lock, tag)
                    raise

    async def forget(self, repository: Repository, snapshot_id: str) -> None:
        async with self._deleting(repository) as session:
            await session.unlock()
            await session.run("forget", snapshot_id)

    async def hash_of(self, repository: Repository, snapshot_id: str, path: str) -> str:
        digest = hashlib.sha256()
        async with self._session(repository) as session:
            await session.run("dump", snapshot_id, f"/{path}", sink=digest.update, seconds=self._backup_seconds)
        return digest.hexdigest()

    async def restore(self, repository: Repository, snapshot_id: str, path: str, to: Path) -> tuple[str, int]:
        async with self._session(repository) as session:
            # Of a folder `dump` makes an archive: ask first what stands there.
            nodes: list[dict[str, Any]] = []
            await session.run("ls", snapshot_id, f"/{path}", "--json", sink=lines(nodes.append))
            if not any(node.get("path") == f"/{path}" and node.get("type") == "file" for node in nodes):
                raise NotInSnapshot(path)
            partial = to.with_name(f"{PARTIAL_PREFIX}{new_id()}")
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                await session.run("dump", snapshot_id, f"/{path}", into=descriptor, seconds=self._backup_seconds)
                outcome = await asyncio.to_thread(_settle, descriptor)
                partial.rename(to)
            finally:
                os.close(descriptor)
                partial.unlink(missing_ok=True)
        return outcome

    async def files(self, repository: Repository, snapshot_id: str) -> list[SnapshotFile]:
        found: list[SnapshotFile] = []

        def take(node: dict[str, Any]) -> None:
            if node.get("type") == "file" and len(found) < MOST_LISTED:
                found.append(SnapshotFile(str(node["path"]).lstrip("/"), int(node.get("size", 0))))

        async with self._session(repository) as session:
            await session.run("ls", snapshot_id, "--json", sink=lines(take))
        return found

    async def delete(self, repository: Repository) -> None:
        with self._locked(repository):
            if self._is_local:
                await asyncio.to_thread(self._delete_folder, self._path(repository))
            else:
                await self._forget_everything(repository)

    async def _forget_everything(self, repository: Repository) -> None:
        async with self._deleting(repository) as session:
            snapshots = await session.snapshots()
            if snapshots:
                await session.unlock()
                ids = [str(snapshot["id"]) for snapshot in snapshots]
                await session.run("forget", *ids, "--prune", seconds=self._backup_seconds)

    async def version(self) -> tuple[int, int]:
        """Major and minor of the program; raises ResticMissing, ResticFailed."""
        program = self._executable()
        if self._version is None or self._version[0] != program:
            process = await asyncio.create_subprocess_exec(
                program, "version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            try:
                answer, _ = await asyncio.wait_for(process.communicate(), 20)
            except BaseException:
                with suppress(ProcessLookupError):
                    process.kill()
                raise
            match = re.match(rb"restic (\d+)\.(\d+)", answer)
            if match is None:
                raise ResticFailed("the program does not say its version")
            self._version = program, (int(match[1]), int(match[2]))
        return self._version[1]

    async def _found(self, session: Session, tag: str) -> Snapshot | None:
        snapshots = await session.snapshots("--tag", tag)
        if not snapshots:
            return None
        return await self._counted(session, str(snapshots[-1]["id"]))

    async def _counted(self, session: Session, snapshot_id: str) -> Snapshot:
        files = size = 0

        def count(node: dict[str, Any]) -> None:
            nonlocal files, size
            if node.get("type") == "file":
                files, size = files + 1, size + int(node.get("size", 0))

        await session.run("ls", snapshot_id, "--json", sink=lines(count))
        return Snapshot(snapshot_id, files, size)

    async def _new_snapshot(self, session: Session, folder: Path, *, tag: str, host: str, at: datetime) -> Snapshot:
        summary: dict[str, Any] = {}

        def take(message: dict[str, Any]) -> None:
            if message.get("message_type") == "summary":
                summary.update(message)

        code = await session.run(
            *("backup", ".", "--json", "--tag", tag, "--host", host),
            *("--time", at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"), "--exclude", f"{PARTIAL_PREFIX}*"),
            folder=folder,
            sink=lines(take),
            seconds=self._backup_seconds,
            accept={0, _INCOMPLETE},
        )
        if code == _INCOMPLETE:
            raise _Incomplete("some files could not be read")
        try:
            return Snapshot(
                str(summary["snapshot_id"]),
                int(summary["total_files_processed"]),
                int(summary["total_bytes_processed"]),
            )
        except (KeyError, ValueError) as error:
            raise ResticFailed("the program gave no summary") from error

    async def _forget_tagged(self, repository: Repository, lock: int, tag: str) -> None:
        async with self._deleting(repository, lock) as session:
            for snapshot in await session.snapshots("--tag", tag):
                await session.run("forget", str(snapshot["id"]))

    async def _make_repository(self, repository: Repository) -> bool:
        """True when it is new. A local one appears whole, by a rename, so that a kill leaves no half repository."""
        self._executable()
        if not self._is_local:
            return await self._make_remote(repository)
        path = self._path(repository)
        if (path / "config").exists():
            return False
        # A lost key is never replaced where there still is something to read with it.
        make_key = self._place_of_it is LOCAL and not await asyncio.to_thread(self._has_any)
        fresh = path.with_name(f".new-{path.name}")
        await asyncio.to_thread(shutil.rmtree, fresh, True)
        fresh.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            async with self._session(repository, location=str(fresh), make_key=make_key) as session:
                await session.run("init")
            with suppress(OSError):  # somebody else was first
                fresh.rename(path)
        finally:
            await asyncio.to_thread(shutil.rmtree, fresh, True)
        return True

    async def _make_remote(self, repository: Repository) -> bool:
        async with self._session(repository, make_key=self._place_of_it is LOCAL) as session:
            if await session.run("cat", "config", accept={0, 1, NO_REPOSITORY}) == 0:
                return False
            try:
                await session.run("init")
            except ResticFailed:
                await session.run("cat", "config")  # somebody else was first, or the error stands
                return False
            return True

    def _has_any(self) -> bool:
        return any(Path(self._base).glob("*/*/config"))

    def on_disk(self) -> list[Repository]:
        """Those in the folder; none where repositories are elsewhere."""
        if not self._is_local:
            return []
        folders = [config.parent for config in Path(self._base).glob("*/*/config")]
        found = [_repository_in(folder, self._place_of_it) for folder in sorted(folders)]
        return [repository for repository in found if repository is not None]

    def _delete_folder(self, path: Path) -> None:
        """Out of the way in one step, so that a kill leaves nothing that looks like a repository."""
        doomed = path.with_name(f".deleted-{path.name}")
        with suppress(FileNotFoundError):
            path.rename(doomed)
        if doomed.exists():
            shutil.rmtree(doomed)

    @property
    def _is_local(self) -> bool:
        return not re.match(r"[a-z0-9]+:", self._base)

    def _path(self, repository: Repository) -> Path:
        return Path(self._base) / repository.name

    def _executable(self) -> str:
        program = shutil.which(self._program)
        if program is None:
            raise ResticMissing("restic is not installed")
        return program

    @contextmanager
    def _locked(self, repository: Repository) -> Iterator[int]:
        """A file lock that the program inherits: while an orphan of a killed worker still runs, nobody else starts."""
        folder = self._state / "locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{repository.protection_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RepositoryBusy("a backup to this repository is still running") from None
            yield descriptor
        finally:
            os.close(descriptor)

    def _deleting(self, repository: Repository, lock: int | None = None) -> AbstractAsyncContextManager[Session]:
        return self._session(repository, lock, location=_place(self._deleting_base, repository))

    @asynccontextmanager
    async def _session(
        self,
        repository: Repository,
        lock: int | None = None,
        *,
        location: str | None = None,
        make_key: bool = False,
        password: str | None = None,
    ) -> AsyncIterator[Session]:
        """`password`: this one only, whatever the key in use says."""
        program, version = self._executable(), await self.version()
        try:
            word = password or self._keys.password_of(repository.name, make=make_key)
        except KeyMissing as error:
            raise ResticFailed(str(error)) from error
        where = location or _place(self._base, repository)
        options = ["--retry-lock", "1m"] if version >= (0, 16) else []
        environment = clean_environment() | {
            "RESTIC_PASSWORD": word,
            "RESTIC_REPOSITORY": where,
            "RESTIC_CACHE_DIR": str(self._state / "cache"),
            "TZ": "UTC",
        }
        if self._is_local:
            options.append("--no-cache")
        local = Path(where) if self._is_local else None
        yield Session(program, options, environment, lock, local, partial(self._passwords, repository, password))

    def _passwords(self, repository: Repository, only: str | None) -> list[str]:
        with suppress(KeyMissing):
            return [only] if only else self._keys.passwords_of(repository.name)
        return []


class _Incomplete(ResticFailed):
    """A snapshot was made, but lacks files."""


def _repository_in(folder: Path, place: Place) -> Repository | None:
    """None for the halves that a kill left, whose names are others."""
    with suppress(ValueError):
        return Repository(UUID(folder.parent.name), UUID(folder.name), place)
    return None


def _place(base: str, repository: Repository) -> str:
    """Folder or URL. rest-server knows two levels of folders only, and with private ones the first is a user's."""
    name = repository.name.replace("/", "_") if base.startswith("rest:") else repository.name
    return f"{base}/{name}"


def _settle(descriptor: int) -> tuple[str, int]:
    """Make the file durable; its SHA-256 and size."""
    os.fsync(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "rb", closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
