"""A clause is the exact paragraph of the agreement that begins with its number."""

from __future__ import annotations

import pytest

from services.contracts.db import agreements
from services.contracts.domain.agreement import Language
from services.contracts.domain.clause import Clause, NoSuchClause, clause_of, clauses_of

NUMBERS = """1.1 1.2 1.3 2.1 2.2 2.3 2.4 3.1 3.2 3.3 3.4 3.5 3.6 4.1 5.1 5.2 5.3 6.1 6.2""".split()

TEXT = """# Agreement

Preamble with **emphasis**.

## 1 Work

**1.1 Risky work.** We may refuse
high risk.

**1.10 More.** See 1.1.
"""


@pytest.mark.parametrize("language", Language)
def test_every_published_version_has_every_clause_in_every_language(language: Language) -> None:
    for agreement in agreements.published().versions:
        found = clauses_of(agreement.texts[language])
        assert list(found) == NUMBERS
        assert all(clause.text in agreement.texts[language] for clause in found.values())


def test_a_clause_is_its_paragraph_with_the_lines_as_they_are() -> None:
    assert clause_of(TEXT, "1.1") == Clause(
        number="1.1", title="Risky work", text="**1.1 Risky work.** We may refuse\nhigh risk."
    )
    assert list(clauses_of(TEXT)) == ["1.1", "1.10"]


def test_lines_that_end_as_elsewhere_are_clauses_too() -> None:
    assert clause_of(TEXT.replace("\n", "\r\n"), "1.10").text == "**1.10 More.** See 1.1."


@pytest.mark.parametrize("number", ["1", "1.2", "", "Risky work", "1.1 ", "emphasis"])
def test_what_is_not_a_clause_is_refused(number: str) -> None:
    with pytest.raises(NoSuchClause):
        clause_of(TEXT, number)


def test_a_number_that_stands_twice_is_a_fault_of_the_text() -> None:
    with pytest.raises(ValueError, match=r"clause 1\.1 stands twice"):
        clauses_of(TEXT + "\n**1.1 Again.** No.\n")
