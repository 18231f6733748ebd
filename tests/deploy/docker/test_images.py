"""What the images are made of, read in the Dockerfile, and whom the edge lets through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.kit.version import VERSION

ROOT = Path(__file__).parents[3]
EDGE = ROOT / "deploy" / "docker" / "edge"
TARGETS = ("app", "backup", "edge")


def stages() -> dict[str, tuple[str, str]]:
    """Name → what it is made from, and its instructions."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    parts = re.split(r"^FROM (\S+) AS (\S+)$", text, flags=re.MULTILINE)[1:]
    return {parts[at + 1]: (parts[at], parts[at + 2]) for at in range(0, len(parts), 3)}


def whole(target: str) -> str:
    """The instructions of the target and of what it is made from."""
    made_from, own = stages()[target]
    return (whole(made_from) if made_from in stages() else "") + own


def test_every_stage_is_made_from_the_one_slim_base() -> None:
    assert {made_from for made_from, _ in stages().values()} - stages().keys() == {"python:3.13-slim"}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_as_nobody_and_says_what_it_is_and_how_it_is(target: str) -> None:
    instructions = whole(target)
    users = re.findall(r"^USER (\S+)$", instructions, flags=re.MULTILINE)
    assert users == ["10001:10001"]
    assert "HEALTHCHECK " in instructions
    for label in ("title", "description", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in instructions
    assert f"ARG VERSION={VERSION}\n" in instructions


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_holds_no_build_tool_and_no_packages_of_its_own_choice(target: str) -> None:
    instructions = whole(target)
    assert not re.search(r"\bpip\b|\bgcc\b|build-essential|requirements", instructions)
    installed = re.findall(r"apt-get install (.*)", instructions)
    assert all("--no-install-recommends" in line for line in installed)
    assert bool(installed) == (target == "edge")


def test_dependencies_are_a_layer_of_their_own_and_exactly_the_lock() -> None:
    _, instructions = stages()["packages"]
    assert re.findall(r"^COPY (.*)$", instructions, flags=re.MULTILINE) == ["requirements.txt /build/"]
    assert "--require-hashes" in instructions
    assert "--no-cache-dir" in instructions


def test_restic_is_in_the_backup_target_only() -> None:
    assert "/usr/bin/restic" in whole("backup")
    assert "restic" not in whole("app") + whole("edge")


def test_a_builder_is_sent_no_secret_and_no_test() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line[0] == "!"} == {
        *("requirements.txt", "mainstay", "shared", "services", "deploy")
    }
    assert "deploy/compose" in lines


@pytest.mark.parametrize(
    ("path", "served"),
    [
        ("/contracts/v1/contracts", True),
        ("/billing/openapi.json", True),
        ("/notify/docs", True),
        ("/backup", True),
        ("/contracts/metrics", False),
        ("/billing/readyz", False),
        ("/notify/livez/", False),
        ("/metrics", False),
        ("/contractsx/v1", False),
        ("/dev-issuer/token", False),
        ("/mailbox", False),
    ],
)
def test_the_edge_lets_through_what_is_for_callers(path: str, served: bool) -> None:
    """nginx takes the first expression that matches."""
    text = (EDGE / "services.conf").read_text()
    expressions = re.findall(r"^location ~ (\S+) \{\s*(return|set)", text, flags=re.MULTILINE)
    found = next((action for expression, action in expressions if re.search(expression, path)), "return")
    assert (found == "set") is served


def test_the_edge_of_production_speaks_tls_only_and_has_no_front() -> None:
    text = (EDGE / "production.conf").read_text()
    assert re.findall(r"listen (.*);", text) == ["8443 ssl default_server"]
    assert "location / { return 404; }" in text
    assert "front" not in text
