"""A restic that lives in memory and fails on demand; it keeps the same contract tests as the real one."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from services.backup.domain.source_path import PARTIAL_PREFIX
from services.backup.gateways.keys import RepositoryKeys
from services.backup.gateways.restic import (
    DeletionRefused,
    NotInSnapshot,
    Repository,
    RepositoryBusy,
    Snapshot,
    SnapshotFile,
)
from shared.kernel.ids import new_id


@dataclass
class _Kept:
    tag: str
    at: datetime
    contents: dict[str, bytes]

    def snapshot(self, snapshot_id: str) -> Snapshot:
        return Snapshot(snapshot_id, len(self.contents), sum(map(len, self.contents.values())))


@dataclass
class FakeRestic:
    """`trouble` is raised by every call; `die_after_backup` is raised once a snapshot has been made.

    With `keys`, each repository knows the passwords that open it.
    """

    trouble: Exception | None = None
    die_after_backup: BaseException | None = None
    corrupt: bool = False
    lose_snapshots: bool = False
    busy: set[Repository] = field(default_factory=set)
    repositories: dict[Repository, dict[str, _Kept]] = field(default_factory=dict)
    keys: RepositoryKeys | None = None
    takes_additions_only: bool = False
    words: dict[Repository, set[str]] = field(default_factory=dict)

    async def find(self, repository: Repository, tag: str) -> Snapshot | None:
        for snapshot_id, kept in self._kept(repository).items():
            if kept.tag == tag and not self.lose_snapshots:
                return kept.snapshot(snapshot_id)
        return None

    async def back_up(self, repository: Repository, folder: Path, *, tag: str, at: datetime) -> Snapshot:
        if (found := await self.find(repository, tag)) is not None:
            return found
        if repository in self.busy:
            raise RepositoryBusy("a backup to this repository is still running")
        self.busy.add(repository)
        try:
            contents = await asyncio.to_thread(_read, folder)
        finally:
            self.busy.discard(repository)
        kept, snapshot_id = _Kept(tag, at, contents), new_id().hex
        if repository not in self.repositories and self.keys is not None:
            self.words[repository] = {self.keys.password_of(repository.name, make=True)}
        self.repositories.setdefault(repository, {})[snapshot_id] = kept
        if self.die_after_backup is not None:
            death, self.die_after_backup = self.die_after_backup, None
            raise death
        return kept.snapshot(snapshot_id)

    async def forget(self, repository: Repository, snapshot_id: str) -> None:
        self._kept(repository).pop(snapshot_id, None)

    async def hash_of(self, repository: Repository, snapshot_id: str, path: str) -> str:
        return hashlib.sha256(self._content(repository, snapshot_id, path)).hexdigest()

    async def restore(self, repository: Repository, snapshot_id: str, path: str, to: Path) -> tuple[str, int]:
        content = self._content(repository, snapshot_id, path)
        await asyncio.to_thread(to.write_bytes, content)
        return hashlib.sha256(content).hexdigest(), len(content)

    async def files(self, repository: Repository, snapshot_id: str) -> list[SnapshotFile]:
        return [
            SnapshotFile(path, len(content)) for path, content in self._kept(repository)[snapshot_id].contents.items()
        ]

    async def delete(self, repository: Repository) -> None:
        self._kept(repository)
        self.repositories.pop(repository, None)

    def on_disk(self) -> list[Repository]:
        return list(self.repositories)

    async def opens(self, repository: Repository, password: str) -> bool | None:
        return password in self.words[repository] if repository in self._with_words() else None

    async def add(self, repository: Repository, password: str) -> None:
        self._with_words()[repository].add(password)

    async def remove(self, repository: Repository, password: str) -> None:
        words = self._with_words().get(repository, set())
        if password in words and self.takes_additions_only:
            raise DeletionRefused("nothing may be deleted there")
        words.discard(password)

    def _with_words(self) -> dict[Repository, set[str]]:
        if self.trouble is not None:
            raise self.trouble
        return self.words

    def _kept(self, repository: Repository) -> dict[str, _Kept]:
        if self.trouble is not None:
            raise self.trouble
        return self.repositories.get(repository, {})

    def _content(self, repository: Repository, snapshot_id: str, path: str) -> bytes:
        try:
            content = self._kept(repository)[snapshot_id].contents[path]
        except KeyError:
            raise NotInSnapshot(path) from None
        return content + b"!" if self.corrupt else content


def _read(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not path.name.startswith(PARTIAL_PREFIX)
    }
