"""Operating systems that are maintained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SupportedSystem:
    """`versions` as they begin: 22.04 covers 22.04.5, and 12 covers 12.7, but not 120."""

    name: str
    versions: tuple[str, ...]

    def covers(self, named: str) -> bool:
        """Whether a server whose system is called `named` runs it."""
        words = named.casefold().split()
        own = self.name.casefold().split()
        if words[: len(own)] != own or len(words) == len(own):
            return False
        version = words[len(own)]
        return any(version == known or version.startswith(f"{known}.") for known in self.versions)
