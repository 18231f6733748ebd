"""Taking a text apart loses nothing, and a diff gives either text back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.db import agreements
from services.contracts.domain.agreement import Agreement, Language
from services.contracts.domain.agreement_diff import Change, Piece, SectionDiff, diff_of
from services.contracts.domain.agreement_text import flowing, sections_of

FIRST = agreements.read_folder(agreements.FOLDER).version("2026-1")
WORDS = st.sampled_from(["we", "you", "24", "hours", "not", "备份", "保留", "。", ",", "30"])
BODIES = st.lists(st.lists(WORDS, min_size=1, max_size=8).map(" ".join), min_size=1, max_size=3).map("\n\n".join)
CLAUSES = st.dictionaries(st.sampled_from(["1.1", "1.2", "2.1", "2.10", "3.1"]), BODIES, max_size=5)


def a_text(clauses: dict[str, str]) -> str:
    written = [f"**{number} About {number}.** {body}\n\n" for number, body in sorted(clauses.items())]
    return "# Title\n\nBefore.\n\n" + "".join(written)


def a_version(text: str) -> Agreement:
    return replace(FIRST, texts={Language.EN: text, Language.ZH: text})


@pytest.mark.parametrize("language", Language)
def test_the_sections_joined_are_the_text(language: Language) -> None:
    text = FIRST.texts[language]
    sections = sections_of(text)
    assert "".join(section.text for section in sections) == text
    assert [section.number for section in sections if section.is_clause][:3] == ["1.1", "1.2", "1.3"]
    assert [section.title for section in sections if section.number == "3.3"] == [
        {"en": "Renewing and stopping", "zh": "续订与停止"}[language]
    ]


@given(CLAUSES, CLAUSES)
def test_a_diff_gives_either_text_back(old: dict[str, str], new: dict[str, str]) -> None:
    diff = diff_of(a_version(a_text(old)), a_version(a_text(new)), Language.EN)
    changed = {section.number: section for section in diff.sections}
    for number in old | new:
        if old.get(number) == new.get(number):
            assert number not in changed
            continue
        section = changed[number]
        assert section.change is (
            Change.CHANGED if number in old and number in new else Change.ADDED if number in new else Change.REMOVED
        )
        assert joined(section, Piece.ADDED) == whole(a_text(old), number)
        assert joined(section, Piece.REMOVED) == whole(a_text(new), number)


def joined(section: SectionDiff, without: Piece) -> str:
    return "".join(text for piece, text in section.pieces if piece is not without).strip()


def whole(text: str, number: str) -> str:
    return next((flowing(section.text) for section in sections_of(text) if section.number == number), "")


def test_breaking_lines_elsewhere_changes_nothing() -> None:
    other = {language: text.replace("\n", "\r\n") for language, text in FIRST.texts.items()}
    rewrapped = other | {Language.EN: FIRST.texts[Language.EN].replace("by day and by night", "by day\nand by night")}
    for language in Language:
        assert diff_of(FIRST, replace(FIRST, texts=rewrapped), language).sections == ()


def test_chinese_is_compared_character_by_character() -> None:
    texts = {**FIRST.texts, Language.ZH: FIRST.texts[Language.ZH].replace("昼夜直接联系", "随时直接联系")}
    [section] = diff_of(FIRST, replace(FIRST, texts=texts), Language.ZH).sections
    assert section.number == "1.3"
    assert [pair for pair in section.pieces if pair[0] is not Piece.SAME] == [
        (Piece.REMOVED, "昼夜"),
        (Piece.ADDED, "随时"),
    ]
    assert "客户可[-昼夜-]{+随时+}直接联系" in section.marked


def test_headings_and_what_stands_before_them_are_compared_too() -> None:
    text = FIRST.texts[Language.EN].replace("## 4 Software", "## 4 Licences").replace("Mainstay", "Harbour")
    found = diff_of(FIRST, a_version(text), Language.EN).sections
    assert [(section.number, section.title) for section in found] == [("0", ""), ("4", "Licences")]


def test_parameters_are_compared_with_the_clause_they_belong_to() -> None:
    newer = replace(FIRST, parameters=replace(FIRST.parameters, warranty_starts_after_days=0, refund_window_days=30))
    newer = replace(newer, clauses={**FIRST.clauses, "refund_window_days": "6.2"})
    assert [(each.clause, each.name, each.old, each.new) for each in diff_of(FIRST, newer, Language.EN).parameters] == [
        ("6.1", "warranty_starts_after_days", 7, 0),
        ("6.2", "refund_window_days", None, 30),
    ]
