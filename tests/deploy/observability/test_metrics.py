"""Every metric that somebody is shown or woken by is one that the code has, with its labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from tests.deploy.observability.test_alerts import FOLDER, rules
from tests.structure.house import ROOT, SERVICES, modules, name_of

DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
GIVEN_BY_PROMETHEUS = {"up", "ALERTS"}
ADDED_BY_PROMETHEUS = {"job", "instance", "le", "alertstate", "alertname"}
METRIC = re.compile(r"(?<![\w:.$])((?:mainstay|process|python)[_:][\w:]+|up|ALERTS)(?![\w:(])")
MATCHERS = re.compile(r"((?:mainstay|process)_\w+)\{([^}]*)\}")
GROUPED = re.compile(r"\b(?:by|on) ?\(([\w, ]+)\)")


@cache
def metrics() -> dict[str, set[str]]:
    """The labels of every series that some process of the installation may show."""
    for service in SERVICES:
        import_module(f"services.{service}.app")
        import_module(f"services.{service}.worker")
    for path in modules("shared", "deploy"):
        if "prometheus_client" in path.read_text(encoding="utf-8"):
            import_module(name_of(path).removesuffix(".py").replace("/", "."))
    found: dict[str, set[str]] = {}
    for collector, names in REGISTRY._collector_to_names.items():
        labels = set(getattr(collector, "_labelnames", ()))
        found.update(dict.fromkeys(names, labels))
    return found


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def shown() -> Iterator[tuple[str, str]]:
    """(where, expression) of every dashboard, rule and scaled object."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for dashboard in DASHBOARDS:
        for panel in json.loads(dashboard.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{dashboard.stem}: {panel['title']}", target["expr"]
    for path in sorted((ROOT / "deploy").rglob("*.y*ml")):
        yield from _scaled_by(path)


def _scaled_by(path: Path) -> Iterator[tuple[str, str]]:
    if "ScaledObject" not in (text := path.read_text(encoding="utf-8")):
        return
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict) and document.get("kind") == "ScaledObject":
            for trigger in document["spec"].get("triggers", []):
                if query := trigger.get("metadata", {}).get("query"):
                    yield f"{name_of(path)}: {document['metadata']['name']}", query


@pytest.mark.parametrize(("where", "expression"), list(shown()))
def test_what_is_asked_for_exists(where: str, expression: str) -> None:
    named = set(METRIC.findall(expression))
    assert named, f"{where} asks for nothing of ours"
    unknown = named - metrics().keys() - recorded() - GIVEN_BY_PROMETHEUS
    assert not unknown, f"{where}: {unknown}"


@pytest.mark.parametrize(("where", "expression"), list(shown()))
def test_labels_that_are_asked_for_exist(where: str, expression: str) -> None:
    for metric, matchers in MATCHERS.findall(expression):
        labels = set(re.findall(r"(\w+) ?(?:=|!)", matchers))
        assert labels <= metrics()[metric] | ADDED_BY_PROMETHEUS, f"{where}: {metric}"
    named = [metric for metric in METRIC.findall(expression) if metric in metrics()]
    if len(named) == 1:
        groups = {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")}
        assert groups <= metrics()[named[0]] | ADDED_BY_PROMETHEUS, where


def test_dashboards_are_found_by_names_of_their_own() -> None:
    boards: list[dict[str, Any]] = [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS]
    assert {board["uid"] for board in boards} == {path.stem for path in DASHBOARDS}
    assert len({board["title"] for board in boards}) == len(boards) >= 4
    for board in boards:
        titles = [panel["title"] for panel in board["panels"]]
        assert len(set(titles)) == len(titles), board["title"]


def test_every_metric_of_ours_is_shown_somewhere() -> None:
    """One that nobody looks at costs and helps nobody."""
    asked = "\n".join(expression for _, expression in shown())
    ours = {name for name in metrics() if name.startswith("mainstay_")}
    families = {re.sub(r"_(bucket|count|sum|created|total)$", "", name) for name in ours}
    unseen = {family for family in families if not re.search(rf"\b{family}(_\w+)?\b", asked)}
    assert not unseen


def test_no_metric_is_labelled_by_customer_or_contract() -> None:
    for name, labels in metrics().items():
        assert not {label for label in labels if label.endswith("_id") or label in {"customer", "contract"}}, name
