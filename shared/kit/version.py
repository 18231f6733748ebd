"""Which release this is: said here once; pyproject.toml repeats it, and a test compares."""

from __future__ import annotations

VERSION = "0.1.0"


def release(version: str) -> tuple[int, ...]:
    """Numbers that compare: (1, 10, 0) of "1.10.0"; what follows a `-` or `+` does not count."""
    return tuple(int(part) for part in version.partition("-")[0].partition("+")[0].split("."))
