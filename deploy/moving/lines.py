"""One row of any table as one line of JSON, the same whatever database it comes from, and a hash over all of them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast
from uuid import UUID

import sqlalchemy as sa

from shared.kit.db import Instant

Kind = Literal["uuid", "instant", "json", "bytes", "date", "time", "boolean", "integer", "text"]
"""What a column holds. In a line an instant is whole microseconds since 1970 in UTC, and bytes are base64."""

Dialect = Literal["sqlite", "postgresql"]
Convert = Callable[[Any], Any]

COMPRESSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGITS = 64
_DIGESTS = 1 << 256

line_of = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
"""Canonical, so that equal rows are equal lines."""


def kind_of(column: sa.Column[Any]) -> Kind:
    """Raises TypeError for a type that no table of ours has."""
    for type_, kind in _KINDS:
        if isinstance(column.type, type_):
            return kind
    raise TypeError(f"{column.table.name}.{column.name} is of a type that cannot be moved")


_KINDS: Sequence[tuple[Any, Kind]] = [
    (Instant, "instant"),
    (sa.Uuid, "uuid"),
    (sa.JSON, "json"),
    (sa.LargeBinary, "bytes"),
    (sa.Date, "date"),
    (sa.Time, "time"),
    (sa.Boolean, "boolean"),
    (sa.Integer, "integer"),
    (sa.String, "text"),
]


def _unchanged(value: Any) -> Any:
    return value


def _microseconds_of(value: datetime) -> int:
    return (value - _EPOCH) // _MICROSECOND


def instant_of(line: int) -> datetime:
    """What a line holds of an instant, as an instant in UTC."""
    return _EPOCH + line * _MICROSECOND


def _base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


FROM_DATABASE: dict[Dialect, dict[Kind, Convert]] = {
    "postgresql": {
        "uuid": str,
        "instant": _microseconds_of,
        "json": json.loads,
        "bytes": _base64_of,
        "date": date.isoformat,
        "time": time.isoformat,
    },
    "sqlite": {
        "uuid": lambda stored: str(UUID(stored)),
        "json": json.loads,
        "bytes": _base64_of,
        "time": lambda stored: time.fromisoformat(stored).isoformat(),
        "boolean": bool,
    },
}
"""What a driver holds of a column, as a line holds it."""

TO_DATABASE: dict[Dialect, dict[Kind, Convert]] = {
    "postgresql": {
        "uuid": UUID,
        "instant": instant_of,
        "json": json.dumps,
        "bytes": base64.b64decode,
        "date": date.fromisoformat,
        "time": time.fromisoformat,
    },
    "sqlite": {
        "uuid": lambda line: UUID(line).hex,
        "json": json.dumps,
        "bytes": base64.b64decode,
        "time": lambda line: f"{time.fromisoformat(line):%H:%M:%S.%f}",
        "boolean": int,
    },
}
"""What a line holds of a column, as the driver takes it."""


def converter(conversions: dict[Kind, Convert], kinds: Sequence[Kind]) -> Callable[[Sequence[Any]], list[Any]]:
    """Of a whole row; NULL stays None."""
    each = [conversions.get(kind, _unchanged) for kind in kinds]

    def convert(row: Sequence[Any]) -> list[Any]:
        return [None if value is None else conversion(value) for conversion, value in zip(each, row, strict=True)]

    return convert


class Digest:
    """A number of lines and a hash that does not depend on their order: the sum of their SHA-256, modulo 2^256."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, line: bytes) -> None:
        self.rows += 1
        self._sum += int.from_bytes(hashlib.sha256(line).digest())

    def text(self) -> str:
        return f"{self._sum % _DIGESTS:0{_DIGITS}x}"


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


class Lines:
    """A compressed file of lines while it is written."""

    def __init__(self, packed: gzip.GzipFile, raw: _Hashed) -> None:
        self._packed = packed
        self._raw = raw
        self.count = 0

    def write(self, line: bytes) -> None:
        self.count += 1
        self._packed.write(line + b"\n")

    @property
    def sha256(self) -> str:
        """Of the file; right once it is closed."""
        return self._raw.sha256.hexdigest()


@contextmanager
def writing_lines(path: Path) -> Iterator[Lines]:
    """A new file, the same bytes for the same lines."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        raw = _Hashed(file)
        with gzip.GzipFile("", "wb", COMPRESSION, cast(Any, raw), mtime=0) as packed:
            yield Lines(packed, raw)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[bytes]:
    """Without their ends; raises OSError, EOFError or zlib.error for a file that is no longer whole."""
    with gzip.open(path, "rb") as packed:
        for line in packed:
            yield line.rstrip(b"\n")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
