"""The text of an agreement version, taken apart into its clauses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.contracts.domain.agreement import Language

LONGEST_TEXT = 200_000
LONGEST_CLAUSE = 20_000
"""Characters."""
BEFORE_THE_CLAUSES = "0"
"""The number of what stands before the first heading."""

_OPENING = re.compile(r"^(?:\*\*(?P<clause>\d+\.\d+) (?P<title>[^*\n]+)\*\*|## (?P<chapter>\d+) (?P<heading>.+))", re.M)
_CHINESE = "\u3000-\u303f\u4e00-\u9fff\uff00-\uffef“”"
_BREAK_IN_CHINESE = re.compile(rf"(?<=[{_CHINESE}])\s*\n\s*(?=\S)|(?<=\S)\s*\n\s*(?=[{_CHINESE}])")


@dataclass(frozen=True)
class Section:
    """A clause (`1.1`), the heading of a chapter (`1`), or what stands before them; `text` is as it was written."""

    number: str
    title: str
    text: str

    @property
    def is_clause(self) -> bool:
        return "." in self.number

    @property
    def body(self) -> str:
        """Without its number and title, and without the line breaks that only keep lines short."""
        return flowing(_OPENING.sub("", self.text, count=1))


def flowing(text: str) -> str:
    """Paragraphs apart by an empty line, each on one line; Chinese has no space where a line was broken."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(_BREAK_IN_CHINESE.sub("", each).split()) for each in paragraphs)


def sections_of(text: str) -> list[Section]:
    """All of the text in its order: joined, the sections are the text."""
    found = list(_OPENING.finditer(text))
    ends = [*(opening.start() for opening in found), len(text)]
    sections = [Section(BEFORE_THE_CLAUSES, "", text[: ends[0]])]
    for opening, end in zip(found, ends[1:], strict=True):
        number, title = opening["clause"] or opening["chapter"], opening["title"] or opening["heading"]
        sections.append(Section(number, title.strip().rstrip(".。"), text[opening.start() : end]))
    return sections


def what_is_wrong_with(texts: Mapping[Language, str]) -> dict[Language, list[str]]:
    """Why these cannot be the texts of one version, by language: the same clauses in the same order, once each."""
    numbers = {language: [each.number for each in sections_of(text)] for language, text in texts.items()}
    wanted = list(dict.fromkeys(number for each in numbers.values() for number in each))
    return {
        language: _wrong_in(texts[language], numbers[language], wanted)
        for language in texts
        if _wrong_in(texts[language], numbers[language], wanted)
    }


def _wrong_in(text: str, numbers: list[str], wanted: list[str]) -> list[str]:
    if len(text) > LONGEST_TEXT:
        return [f"is longer than {LONGEST_TEXT} characters"]
    wrong = [
        f"{_named(number)} comes {numbers.count(number)} times"
        for number in dict.fromkeys(numbers)
        if numbers.count(number) > 1
    ]
    wrong += [f"lacks {_named(number)}" for number in wanted if number not in numbers]
    if not any("." in number for number in numbers):
        wrong.append("has no clause")
    if numbers != sorted(numbers, key=_place):
        wrong.append("has its clauses in another order than their numbers")
    wrong += [
        f"{_named(each.number)} {trouble}"
        for each in sections_of(text)
        if each.is_clause
        for trouble in _trouble_of(each)
    ]
    return wrong


def _trouble_of(clause: Section) -> list[str]:
    if not clause.body:
        return ["says nothing"]
    return [f"is longer than {LONGEST_CLAUSE} characters"] if len(clause.text) > LONGEST_CLAUSE else []


def _named(number: str) -> str:
    return f"clause {number}" if "." in number else f"chapter {number}"


def _place(number: str) -> tuple[int, ...]:
    return tuple(map(int, number.split(".")))
