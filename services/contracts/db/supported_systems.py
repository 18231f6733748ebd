"""The supported systems out of their file, read once."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from services.contracts.domain.supported_system import SupportedSystem

FILE = Path(__file__).parent.parent / "supported_systems.toml"


@lru_cache(maxsize=1)
def published() -> tuple[SupportedSystem, ...]:
    """What this process was started with."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["systems"]
    return tuple(SupportedSystem(name=row["name"], versions=tuple(row["versions"])) for row in rows)


def supports(operating_system: str) -> bool:
    """Whether a server whose system its customer calls so is maintained."""
    return any(system.covers(operating_system) for system in published())
