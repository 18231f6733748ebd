"""Alert rules are well formed, fire when they should and only then, and lead to a runbook."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from deploy.cli.main import app
from tests.deploy.observability.alerts import ALERTS, MINUTES, Series
from tests.infrastructure import requirements
from tests.infrastructure.promtool import find_promtool
from tests.structure.house import ROOT

FOLDER = ROOT / "deploy" / "observability"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
RUNBOOKS = sorted((ROOT / "docs" / "operations").glob("alerts-*.md"))
PARTS = ("**Means.**", "**First look.**", "**Remedy.**", "**Escalate.**")


def rules() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@pytest.fixture(scope="session")
def promtool() -> str:
    with requirements.or_do_without("promtool"):
        return find_promtool()


def test_prometheus_takes_the_rules_and_its_settings(promtool: str) -> None:
    for arguments in (["check", "rules", *map(str, RULES)], ["check", "config", str(FOLDER / "prometheus.yml")]):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_only_then(promtool: str, tmp_path: Path) -> None:
    assert set(ALERTS) == set(alerts()), "every alert has its case"
    cases = [_case(apart, fires) for fires in (True, False) for apart in _told_apart(fires)]
    file = tmp_path / "alerts.json"
    file.write_text(json.dumps({"rule_files": [str(rule) for rule in RULES], "tests": cases}))
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _told_apart(fires: bool) -> list[dict[str, Series]]:
    """The series by alert, in as few groups as keep every metric to one alert: promtool takes a while for each."""
    groups: list[dict[str, Series]] = []
    for name, case in ALERTS.items():
        series = case.fires if fires else case.quiet
        group = next((each for each in groups if not _metrics(series) & _metrics(*each.values())), None)
        if group is None:
            groups.append(group := {})
        group[name] = series
    return groups


def _metrics(*several: Series) -> set[str]:
    return {name.partition("{")[0] for series in several for name in series}


def _case(told_apart: dict[str, Series], fires: bool) -> dict[str, Any]:
    series = {name: values for each in told_apart.values() for name, values in each.items()}
    return {
        "name": f"{', '.join(told_apart)} {'fire' if fires else 'are quiet'}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname) (ALERTS{{alertname="{name}",alertstate="firing"}}) > bool 0',
                "eval_time": f"{MINUTES - 3}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if fires else [],
            }
            for name in told_apart
        ],
    }


def test_every_alert_says_how_bad_it_is_and_what_to_read() -> None:
    for name, alert in alerts().items():
        assert alert["labels"]["severity"] in {"critical", "warning"}, name
        annotations = alert["annotations"]
        assert annotations["summary"].endswith("."), name
        page, _, anchor = annotations["runbook_url"].partition("#")
        assert anchor == name.lower(), name
        assert f"\n## {name}\n" in (ROOT / page).read_text(encoding="utf-8"), f"{page} says nothing about {name}"


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_every_runbook_belongs_to_an_alert_and_is_whole(runbook: Path) -> None:
    sections = re.split(r"^## ", runbook.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert sections
    for section in sections:
        name = section.splitlines()[0]
        assert name in alerts(), f"{runbook.name}: there is no alert {name}"
        places = [section.find(part) for part in PARTS]
        assert -1 not in places, f"{name} lacks {[part for part in PARTS if part not in section]}"
        assert places == sorted(places), name
        clause = alerts()[name]["annotations"].get("clause")
        assert clause is None or f"clause {clause}" in section, f"{name} does not name clause {clause}"


def test_the_index_names_every_page_and_no_other() -> None:
    folder = ROOT / "docs" / "operations"
    named = set(re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert named == {path.name for path in folder.glob("*.md")} - {"README.md"}


def test_runbooks_name_commands_that_there_are() -> None:
    commands = typer.main.get_command(app)
    assert isinstance(commands, typer.core.TyperGroup)
    for runbook in RUNBOOKS:
        for first, second in re.findall(r"`\./mainstay ([a-z-]+)(?: ([a-z-]+))?", runbook.read_text(encoding="utf-8")):
            command = commands.commands.get(first)
            assert command is not None, f"{runbook.name}: mainstay {first}"
            if isinstance(command, typer.core.TyperGroup):
                assert second in command.commands, f"{runbook.name}: mainstay {first} {second}"


def test_sizing_quotes_figures_that_are_measured() -> None:
    text = " ".join((ROOT / "docs" / "operations" / "sizing.md").read_text(encoding="utf-8").split())
    rows = json.loads((ROOT / "docs" / "performance" / "results.json").read_text(encoding="utf-8"))["rows"]
    measured = {figure["name"] for row in rows.values() for figure in row["figures"]} | set(rows)
    quoted = set(re.findall(r"“([^”]+)”", text)) - {"quotes"}
    assert len(quoted) > 10
    assert not quoted - measured
