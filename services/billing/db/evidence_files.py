"""Evidence files, found by their SHA-256. Written before the row commits: an orphan is harmless, a lost file is not."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from services.billing.domain.evidence import Evidence, EvidenceAway
from shared.kernel.ids import new_id
from shared.kit.disk import room_on_disk, sync_folder, write_durably


class EvidenceFiles:
    """`<folder>/<first two digits>/<sha256>`; equal files are one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def store(self, evidence: Evidence, content: bytes) -> None:
        """Returns once the bytes are on disk under their final name; raises NoRoom, EvidenceAway."""
        try:
            with room_on_disk():
                await asyncio.to_thread(_write, self._path(evidence.sha256), content)
        except OSError as error:
            raise EvidenceAway() from error

    async def read(self, evidence: Evidence) -> bytes:
        """Raises EvidenceAway, also for a file that is no longer what was stored."""
        try:
            content = await asyncio.to_thread(self._path(evidence.sha256).read_bytes)
        except OSError as error:
            raise EvidenceAway() from error
        if hashlib.sha256(content).hexdigest() != evidence.sha256:
            raise EvidenceAway("The evidence file is damaged.")
        return content

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256


def _write(path: Path, content: bytes) -> None:
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size != len(content):
        _write_whole(path, content)
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        sync_folder(folder)


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{new_id()}.part")
    try:
        write_durably(temporary, content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
