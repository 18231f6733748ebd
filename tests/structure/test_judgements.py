"""Every kind of decision is exercised: by an example of its rule, or by a story whose rows are judged again."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest

from services.contracts.db import agreements
from services.contracts.domain.clause import clauses_of
from shared.kernel.judgement import Judgements
from shared.kit.rulebook import every_rule_of
from tests.structure.house import ROOT, SERVICES
from tests.support.judging import Judged


def judgements_of(service: str) -> Judgements:
    return every_rule_of(import_module(f"services.{service}.domain"))


def modules_of(service: str) -> list[Path]:
    return sorted((ROOT / "tests" / service).rglob("*.py"))


def examples_of(service: str) -> list[Judged]:
    """Whatever modules of the service's tests list as JUDGED."""
    found: list[Judged] = []
    for path in modules_of(service):
        if "\nJUDGED" in path.read_text(encoding="utf-8"):
            found += import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)).JUDGED
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_every_kind_of_decision_has_an_example_or_a_story(service: str) -> None:
    """A story that names a kind makes such a decision, and a service under test judges all it made once more."""
    stories = "".join(path.read_text(encoding="utf-8") for path in modules_of(service))
    known = {example.judgement.kind for example in examples_of(service)}
    kinds = judgements_of(service).kinds
    assert kinds
    assert [kind for kind in kinds if kind not in known and f'"{kind}"' not in stories] == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_rule_says_the_same_whatever_the_facts(service: str) -> None:
    verdicts: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for example in examples_of(service):
        verdicts[example.judgement.kind].add((example.word, example.clause))
    assert [kind for kind, words in verdicts.items() if len(words) < 2] == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_clause_that_a_rule_rests_on_is_in_every_text_of_the_agreement(service: str) -> None:
    cited = {example.clause for example in examples_of(service)} - {None}
    for agreement in agreements.published().versions:
        for language, text in agreement.texts.items():
            assert cited <= set(clauses_of(text)), f"{agreement.version} in {language}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_kind_is_a_noun_and_a_verb(service: str) -> None:
    word = r"[a-z]+(-[a-z]+)*"
    assert [kind for kind in judgements_of(service).kinds if not re.fullmatch(rf"{word}\.{word}", kind)] == []


def test_every_clause_has_a_story() -> None:
    [text, *_] = agreements.published().versions[-1].texts.values()
    stories = [path.name for path in (ROOT / "tests" / "contracts" / "stories").glob("test_clause_*.py")]
    names = {clause: f"test_clause_{clause.replace('.', '_')}" for clause in clauses_of(text)}
    assert [clause for clause, name in names.items() if not any(story.startswith(name) for story in stories)] == []
