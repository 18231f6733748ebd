"""Freezes the schemas of facts into files that are never changed again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from deploy.docs.generating import as_text
from shared.events import gate
from shared.events.envelope import Fact


class FrozenAlready(Exception):
    """A published schema would change."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def freeze(facts: Iterable[type[Fact]], schemas: Path, samples: Path) -> list[Path]:
    """Write what is missing; returns the files written; raises FrozenAlready before writing anything."""
    missing: list[tuple[Path, str]] = []
    refused: list[str] = []
    for fact in facts:
        schema = gate.schema_of(fact)
        target = schemas / f"{fact.schema_name()}.json"
        if not target.exists():
            missing.append((target, as_text(schema)))
            missing.append((samples / f"{fact.schema_name()}.json", as_text(gate.sample_of(schema))))
        elif gate.bare(json.loads(target.read_text(encoding="utf-8"))) != gate.bare(schema):
            refused.append(f"{fact.schema_name()} is frozen and differs: raise `minor` (or `major`) of {fact.__name__}")
    if refused:
        raise FrozenAlready(refused)
    for path, text in missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [path for path, _text in missing]
