"""The texts about risk out of their files, read once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from services.contracts.domain.agreement import Language

FOLDER = Path(__file__).parent.parent / "risk_texts"


@lru_cache(maxsize=len(Language))
def template(language: Language) -> str:
    """What this process was started with."""
    return (FOLDER / f"{language.value}.txt").read_bytes().decode()
