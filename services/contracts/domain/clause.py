"""One clause out of the text of an agreement."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.kernel.errors import NotFound

_CLAUSE = re.compile(r"^\*\*(?P<number>\d+\.\d+) (?P<title>[^*]+)\*\*", re.MULTILINE)


class NoSuchClause(NotFound):
    """There is no such clause in this version of the agreement."""


@dataclass(frozen=True, kw_only=True)
class Clause:
    """`text` is the exact paragraph, number and title included."""

    number: str
    title: str
    text: str


def clauses_of(text: str) -> dict[str, Clause]:
    """The clauses of an agreement by number: paragraphs that begin `**1.1 Title.**`; a number twice is a ValueError."""
    found: dict[str, Clause] = {}
    for paragraph in re.split(r"\n\s*\n", text):
        begins = _CLAUSE.match(paragraph.strip())
        if begins is None:
            continue
        number, title = begins["number"], begins["title"].strip().rstrip(".。")
        if number in found:
            raise ValueError(f"clause {number} stands twice")
        found[number] = Clause(number=number, title=title, text=paragraph.strip())
    return found


def clause_of(text: str, number: str) -> Clause:
    """Raises NoSuchClause."""
    try:
        return clauses_of(text)[number]
    except KeyError:
        raise NoSuchClause() from None
