"""What is written about the house is true of the house."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from shared.events.registry import FACTS
from shared.kit.version import VERSION
from tests.structure.house import (
    ROOT,
    SERVICES,
    facts_of,
    heard_by_name,
    heard_by_topic,
    operations_of,
    tree_of,
)

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
MOST_WORDS = 400
SECTIONS = ("## Context", "## Decision", "## Consequences", "## Enforced by")
FACT_NAMES = {fact.__name__ for fact in FACTS}


def _name(path: Path) -> str:
    return path.stem


def test_decisions_are_numbered_without_a_gap() -> None:
    assert DECISIONS
    assert [int(path.stem.split("-")[0]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("decision", DECISIONS, ids=_name)
def test_a_decision_is_short_and_whole(decision: Path) -> None:
    text = decision.read_text(encoding="utf-8")
    assert len(text.split()) < MOST_WORDS
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+", decision.stem)
    assert text.startswith(f"# {int(decision.stem.split('-')[0])}. ")
    assert [line for line in text.splitlines() if line.startswith("## ")] == list(SECTIONS)


@pytest.mark.parametrize("decision", DECISIONS, ids=_name)
def test_a_decision_names_the_test_that_keeps_it(decision: Path) -> None:
    enforced = decision.read_text(encoding="utf-8").split("## Enforced by")[1]
    named = re.findall(r"`((?:tests/|pyproject\.toml)[^`\s]*)`", enforced)
    assert named, "name at least one test"
    missing = [name for name in named if not _exists(name)]
    assert not missing, "these do not exist (any more)"


def _exists(name: str) -> bool:
    file, _, test = name.partition("::")
    path = ROOT / file
    if not test:
        return path.exists()
    return path.exists() and test in {
        node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "STYLE.md", "README.md"])
def test_a_link_to_a_file_leads_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    assert not [target for target in targets if not (ROOT / target).exists()]


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_lists_every_endpoint(service: str) -> None:
    """As `METHOD /v1/path/{id}` in backticks; the names in braces and a query behind `?` are free."""
    written = {
        (method, _anonymous(path.split("?")[0]))
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`]*)`", _readme(service))
    }
    real = {(method, _anonymous(path)) for method, path, _operation in operations_of(service)}
    missing = sorted(
        f"`{method} {path}`" for method, path, _ in operations_of(service) if (method, _anonymous(path)) not in written
    )
    assert not missing, f"services/{service}/README.md does not list:\n" + "\n".join(missing)
    assert not sorted(written - real), f"services/{service}/README.md lists what is not there"


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_lists_every_event_in_and_out(service: str) -> None:
    written = set(re.findall(r"\b[A-Z][A-Za-z]+\b", _readme(service))) & FACT_NAMES
    told, heard = set(facts_of(service)), heard_by_name(service)
    required = {fact.__name__ for fact in told | heard}
    allowed = {fact.__name__ for fact in told | heard | heard_by_topic(service)}
    assert not sorted(required - written), f"services/{service}/README.md does not name these"
    assert not sorted(written - allowed), (
        f"services/{service}/README.md names these, but it neither hears nor tells them"
    )


def _readme(service: str) -> str:
    path = ROOT / "services" / service / "README.md"
    assert path.exists(), f"services/{service} has no README.md"
    return path.read_text(encoding="utf-8")


def _anonymous(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_the_release_is_the_same_wherever_it_is_said() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
