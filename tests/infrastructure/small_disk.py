"""A disk of a few megabytes that a test can fill: a tmpfs of its own, which only root may mount."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.infrastructure.missing import Missing
from tests.infrastructure.process import folder_of_this_run

CHUNK = b"\1" * 4096


@dataclass(frozen=True)
class SmallDisk:
    path: Path

    def fill(self, *, but_for: int = 0) -> None:
        """Take every byte that is left, or leave so many."""
        spare = self.path / "spare"
        spare.write_bytes(bytes(but_for))
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while file.write(CHUNK):
                continue
        spare.unlink()

    def free(self) -> None:
        self._filler.unlink()

    def set_read_only(self, read_only: bool) -> None:
        how = "ro" if read_only else "rw"
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True, timeout=20)

    def files(self) -> set[str]:
        """What is there, besides what fills it, by its path."""
        found = (path for path in self.path.rglob("*") if path.is_file() and path != self._filler)
        return {str(path.relative_to(self.path)) for path in found}

    @property
    def _filler(self) -> Path:
        return self.path / "filler"


@contextmanager
def mounted(megabytes: int) -> Iterator[SmallDisk]:
    """Raises Missing where it may not be mounted."""
    with folder_of_this_run("disk") as folder:
        path = folder / "disk"
        path.mkdir()
        _mount(path, megabytes)
        try:
            yield SmallDisk(path)
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True, timeout=20)


@cache
def describe() -> str:
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        _mount(Path(folder), 1)
        subprocess.run(["umount", folder], check=True, timeout=20)
    return "may be mounted"


def _mount(path: Path, megabytes: int) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except FileNotFoundError:
        raise Missing("no mount", how_to_get_it="Linux") from None
    if done.returncode != 0:
        raise Missing(f"no tmpfs may be mounted: {done.stderr.strip()}", how_to_get_it="root with CAP_SYS_ADMIN")
