"""The command line is made to script on: results as JSON, progress on stderr, help for everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.main import app
from tests.structure.house import ROOT

COMMAND = typer.main.get_command(app)
WITHOUT_JSON = {
    "run": "it runs until it is told to stop",
    "split": "it runs until it is told to stop",
    "api": "it runs until it is told to stop",
    "worker": "it runs until it is told to stop",
    "front": "it runs until it is told to stop",
    "wait": "its exit code says it all",
    "kubernetes secrets": "what it prints is a manifest",
}
"""Commands that print no result, or one in a form of its own."""
SHOW_PROGRESS = ("audit.py", "keys.py", "moving/into.py", "moving/out.py", "parked.py", "restored.py")


def commands(command: Any = COMMAND, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Those that do something, by what is typed."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
    for name, each in (inner or {}).items():
        yield from commands(each, (*path, name))


def test_every_command_that_prints_a_result_prints_it_as_json_as_well() -> None:
    without = {name for name, command in commands() if not any("--json" in each.opts for each in command.params)}
    assert without == set(WITHOUT_JSON)


@pytest.mark.parametrize("path", ["", *(name for name, _command in commands())])
def test_every_command_says_how_it_is_used(path: str) -> None:
    told = CliRunner().invoke(app, [*path.split(), "--help"])
    assert told.exit_code == 0
    assert "Usage:" in told.output


def test_every_command_and_option_says_what_it_is_for() -> None:
    silent = [name for name, command in commands() if not command.help]
    silent += [
        f"{name} {option.opts[0]}"
        for name, command in commands()
        for option in command.params
        if option.param_type_name == "option" and not (option.help or option.hidden)
    ]
    assert not silent


@pytest.mark.parametrize("name", SHOW_PROGRESS)
def test_a_command_that_may_take_long_shows_its_progress(name: str) -> None:
    source = (ROOT / "deploy" / "cli" / name).read_text(encoding="utf-8")
    assert "Progress(" in source
