"""Names of files below a server's source folder: relative, plain, and bounded."""

from __future__ import annotations

import unicodedata

from shared.kernel.errors import Conflict, Invalid, NotFound

LONGEST_PATH_BYTES = 1024
LONGEST_NAME_BYTES = 255
DEEPEST = 32
PARTIAL_PREFIX = ".mainstay-"
"""Names that begin like this are ours: files being written."""

_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class UnusablePath(Invalid):
    """A path is relative, without `.` or `..`, control characters or reserved names, and not too long."""


class PathInUse(Conflict):
    """Something that is not a plain file or folder stands at this path."""


class NoSuchFile(NotFound):
    """There is no such file."""


def source_path(text: str) -> str:
    """`text` if it safely names a file below a folder; raises UnusablePath."""
    if not 0 < len(text.encode("utf-8", "surrogatepass")) <= LONGEST_PATH_BYTES:
        raise UnusablePath(f"A path has 1 to {LONGEST_PATH_BYTES} bytes.", field="path")
    if "\\" in text or any(
        unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} or letter in _BIDI for letter in text
    ):
        raise UnusablePath("A path holds no control or direction-changing character and no backslash.", field="path")
    names = text.split("/")
    if len(names) > DEEPEST:
        raise UnusablePath(f"A path has at most {DEEPEST} parts.", field="path")
    for name in names:
        if name in {"", ".", ".."} or name.startswith(PARTIAL_PREFIX):
            raise UnusablePath("A path is relative and has no empty, `.`, `..` or reserved part.", field="path")
        if len(name.encode()) > LONGEST_NAME_BYTES:
            raise UnusablePath(f"Each part of a path has at most {LONGEST_NAME_BYTES} bytes.", field="path")
    return text
