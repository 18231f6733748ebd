"""Where an installation keeps files: one data folder for all services, or one for each that has its own volume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from deploy.folder import locked
from deploy.services import SERVICES

AUDIT = "audit"
OWNERS = {"evidence": "billing", "mailbox": "notify"}
"""Whose files lie where in a folder of all services; what is not here or under AUDIT is of backup."""


@dataclass(frozen=True)
class Folders:
    """`root` is the data folder. `each`: it holds one for every service, of the service's name."""

    root: Path
    each: bool = False

    @property
    def all(self) -> dict[str, Path]:
        """By what comes before a name of theirs: the service's, or nothing."""
        return {f"{service}/": self.root / service for service in SERVICES} if self.each else {"": self.root}

    def of(self, service: str) -> Path:
        return self.root / service if self.each else self.root

    def places_of(self, path: str, *, packed_each: bool) -> list[Path]:
        """Where a file goes that lay at `path` below the data folder, which had a folder for each service or not."""
        if packed_each or not self.each:
            return [self.root / path]
        return [self.root / service / path for service in _services_of(PurePath(path))]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Raises FolderInUse while a Mainstay runs that has the folder to itself."""
        with ExitStack() as stack:
            for folder in self.all.values():
                stack.enter_context(locked(folder))
            yield


def _services_of(path: PurePath) -> tuple[str, ...]:
    if path.parts[0] == AUDIT:
        owner = path.name.partition(".")[0]
        # The record of the keys is about all that sign.
        return (owner,) if owner in SERVICES else SERVICES
    return (OWNERS.get(path.parts[0], "backup"),)
