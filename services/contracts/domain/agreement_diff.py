"""What a version of the agreement changes against another: clause by clause and word by word, and the parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from services.contracts.domain.agreement import Agreement, Language
from services.contracts.domain.agreement_text import Section, flowing, sections_of

# A word, a number, or a character of a script that writes no spaces; blanks belong to what they follow.
_WORDS = re.compile(r"(?:[A-Za-z0-9]+(?:['’.-][A-Za-z0-9]+)*|\S)\s*")


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Piece(StrEnum):
    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True)
class SectionDiff:
    """`number` is a clause's (1.1), a chapter's (1), or 0 for what stands before; `pieces` joined give either text."""

    number: str
    title: str
    change: Change
    pieces: tuple[tuple[Piece, str], ...]

    @property
    def marked(self) -> str:
        """In one line of prose: [-what was taken away-] and {+what was added+}."""
        marks = {Piece.SAME: "{}", Piece.REMOVED: "[-{}-]", Piece.ADDED: "{{+{}+}}"}
        return "".join(marks[piece].format(text) for piece, text in self.pieces)


@dataclass(frozen=True)
class ParameterDiff:
    name: str
    clause: str
    old: Any
    new: Any


@dataclass(frozen=True)
class AgreementDiff:
    sections: tuple[SectionDiff, ...]
    parameters: tuple[ParameterDiff, ...]


def diff_of(old: Agreement, new: Agreement, language: Language) -> AgreementDiff:
    """Only what differs; line breaks within a paragraph are none of the text."""
    return AgreementDiff(
        tuple(_sections(sections_of(old.texts[language]), sections_of(new.texts[language]))),
        tuple(_parameters(old, new)),
    )


def _sections(old: list[Section], new: list[Section]) -> Iterator[SectionDiff]:
    before, after = ({section.number: section for section in each} for each in (old, new))
    for number in sorted(before | after, key=lambda number: tuple(map(int, number.split(".")))):
        was, is_now = before.get(number), after.get(number)
        texts = flowing(was.text) if was else "", flowing(is_now.text) if is_now else ""
        if texts[0] == texts[1]:
            continue
        change = Change.CHANGED if was and is_now else Change.ADDED if is_now else Change.REMOVED
        named = is_now or was
        yield SectionDiff(number, named.title if named else "", change, _pieces(*texts))


def _pieces(old: str, new: str) -> tuple[tuple[Piece, str], ...]:
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    pieces: list[tuple[Piece, str]] = []
    for kind, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append((Piece.SAME, "".join(before[start:end])))
            continue
        if start < end:
            pieces.append((Piece.REMOVED, "".join(before[start:end])))
        if new_start < new_end:
            pieces.append((Piece.ADDED, "".join(after[new_start:new_end])))
    return tuple(pieces)


def _parameters(old: Agreement, new: Agreement) -> Iterator[ParameterDiff]:
    before, after = old.parameters.shown(), new.parameters.shown()
    for name in after:
        if before[name] != after[name]:
            clause = new.clauses.get(name) or old.clauses.get(name) or ""
            yield ParameterDiff(name, clause, before[name], after[name])
