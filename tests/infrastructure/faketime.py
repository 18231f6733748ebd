"""libfaketime, which gives a process a wrong clock: what the machine says the time is, not how it passes."""

from __future__ import annotations

from pathlib import Path

from tests.infrastructure.missing import Missing

HOW_TO_GET_IT = "apt-get install faketime"


def find_library() -> Path:
    """Raises Missing when it is not here."""
    for library in sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")):
        return library
    raise Missing("no libfaketime", how_to_get_it=HOW_TO_GET_IT)


def describe() -> str:
    return str(find_library())


def wrong_by(seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is ahead (or, negative, behind) by so much; raises Missing."""
    return {
        "LD_PRELOAD": str(find_library()),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
