"""What a backup says of itself: which tables, records and files it holds, and how to tell that they are whole."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.moving.lines import Kind
from shared.kernel.errors import Invalid
from shared.kit.disk import sync_folder, write_durably

NAME = "manifest.json"
FORMAT = 1
LARGEST_MANIFEST_BYTES = 4 * 1024 * 1024


class NotWhole(Invalid):
    """This backup cannot be used."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class PackedFile(_Part):
    """A file in the folder: its path there, how many lines it has, and its SHA-256."""

    path: str
    lines: int
    sha256: str


class PackedTable(_Part):
    """One table: names and kinds of its columns as each line has them, and the hash over its rows (lines.Digest)."""

    name: str
    columns: list[tuple[str, Kind]]
    file: PackedFile
    digest: str


class PackedService(_Part):
    """One service's database. `offsets` says per topic and partition where its consumer was and where it had begun."""

    name: str
    revision: str
    taken_at: datetime
    epoch: int
    tables: list[PackedTable]
    offsets: list[tuple[str, int, int, int]]
    clock_moved: bool = False

    def table(self, name: str) -> PackedTable | None:
        return next((table for table in self.tables if table.name == name), None)


class Manifest(_Part):
    """`topics` are those of the records, `files` names what lies below files/, `keys` is a sealed file or None.

    `folder_per_service`: files and keys lay in one folder for each service, whose name their own begins with.
    """

    format: int = FORMAT
    id: UUID
    kind: Literal["backup", "export"]
    made_at: datetime
    services: list[PackedService]
    records: PackedFile
    topics: list[str]
    record_scope: Literal["whole", "unread"]
    files: PackedFile
    file_bytes: int
    with_repositories: bool
    folder_per_service: bool = False
    keys: PackedFile | None

    def service(self, name: str) -> PackedService:
        return next(service for service in self.services if service.name == name)

    @property
    def rows(self) -> int:
        return sum(table.file.lines for service in self.services for table in service.tables)


def write(folder: Path, manifest: Manifest) -> None:
    """The last file that is written: without it the folder is no backup."""
    said = manifest.model_dump(mode="json")
    content = json.dumps({**said, "sha256": _hash(said)}, indent=1, ensure_ascii=False)
    write_durably(folder / NAME, content.encode())
    sync_folder(folder)


def read(folder: Path) -> Manifest:
    """Raises NotWhole, naming what is wrong with it."""
    path = folder / NAME
    try:
        if path.stat().st_size > LARGEST_MANIFEST_BYTES:
            raise NotWhole(f"{path} is not a manifest.")
        said = json.loads(path.read_bytes())
        told = said.pop("sha256")
    except OSError as error:
        raise NotWhole(f"{path} cannot be read ({error.strerror}): {folder} holds no finished backup.") from None
    except (ValueError, KeyError, AttributeError):
        raise NotWhole(
            f"{path} is damaged: it is no JSON object with a hash. Use another copy of the backup."
        ) from None
    if said.get("format") != FORMAT:
        raise NotWhole(f"{path} is of format {said.get('format')}; this version of Mainstay reads {FORMAT}.")
    if told != _hash(said):
        raise NotWhole(f"{path} is damaged: its hash does not fit. Use another copy of the backup.")
    try:
        return Manifest.model_validate(said)
    except ValidationError as wrong:
        fields = sorted({".".join(map(str, error["loc"])) for error in wrong.errors(include_input=False)})
        raise NotWhole(f"{path} is damaged at {', '.join(fields)}. Use another copy of the backup.") from None


def _hash(said: object) -> str:
    content = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()
