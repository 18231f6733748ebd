"""One clause out of the text of an agreement."""

from __future__ import annotations

from dataclasses import dataclass

from services.contracts.domain.agreement_text import sections_of
from shared.kernel.errors import NotFound


class NoSuchClause(NotFound):
    """There is no such clause in this version of the agreement."""


@dataclass(frozen=True, kw_only=True)
class Clause:
    """`text` is as it was written, number and title included."""

    number: str
    title: str
    text: str


def clauses_of(text: str) -> dict[str, Clause]:
    """The clauses of an agreement by number: what begins `**1.1 Title.**`; a number twice is a ValueError."""
    found: dict[str, Clause] = {}
    for section in sections_of(text):
        if section.number in found:
            raise ValueError(f"clause {section.number} stands twice")
        if section.is_clause:
            found[section.number] = Clause(number=section.number, title=section.title, text=section.text.strip())
    return found


def clause_of(text: str, number: str) -> Clause:
    """Raises NoSuchClause."""
    try:
        return clauses_of(text)[number]
    except KeyError:
        raise NoSuchClause() from None
