"""What a test may need from the machine: found with its version, or missing with the way to get it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import pytest

from tests.infrastructure import faketime, kafka_server, kustomize, postgres, promtool, restic, small_disk
from tests.infrastructure.missing import Missing

REQUIRE_VARIABLE = "MAINSTAY_REQUIRE"
ADVISORIES = "advisories"
"""Required of `make check`, which audits the dependencies, and of no test."""

PROBES: dict[str, Callable[[], str]] = {
    "postgres": postgres.describe,
    "kafka": kafka_server.describe,
    "restic": restic.describe,
    "faketime": faketime.describe,
    "promtool": promtool.describe,
    "tmpfs": small_disk.describe,
    "kustomize": kustomize.describe,
}


@dataclass(frozen=True)
class Finding:
    """What was found of one requirement, in words, or why it is missing."""

    name: str
    found: str | None = None
    missing: Missing | None = None

    def __str__(self) -> str:
        if self.missing is None:
            return f"{self.name}: {self.found}"
        return f"{self.name}: MISSING, tests that need it are skipped: {self.missing}"


@cache
def findings() -> dict[str, Finding]:
    return {name: _probe(name, describe) for name, describe in PROBES.items()}


def required_names() -> set[str]:
    """The names in MAINSTAY_REQUIRE, separated by commas; pytest.UsageError for a name that does not exist."""
    names = {name.strip() for name in os.environ.get(REQUIRE_VARIABLE, "").split(",") if name.strip()}
    if unknown := names - {*PROBES, ADVISORIES}:
        known = ", ".join([*PROBES, ADVISORIES])
        raise pytest.UsageError(f"{REQUIRE_VARIABLE} knows {known}, not {', '.join(sorted(unknown))}")
    return names


def insist_on_required() -> None:
    """Fail the whole run when the environment requires something that is missing."""
    found = [findings()[name] for name in sorted(required_names() - {ADVISORIES})]
    missing = [f"{finding.name}: {finding.missing}" for finding in found if finding.missing]
    if missing:
        pytest.exit(f"{REQUIRE_VARIABLE} names what is not here. " + "; ".join(missing), returncode=1)


@contextmanager
def or_do_without(name: str) -> Iterator[None]:
    """Skip the test that meets Missing in here, or fail it when the environment requires it."""
    try:
        yield
    except Missing as missing:
        if name in required_names():
            pytest.fail(f"{name} is required and missing: {missing}", pytrace=False)
        pytest.skip(f"{name} is missing: {missing}")


def _probe(name: str, describe: Callable[[], str]) -> Finding:
    try:
        return Finding(name, found=describe())
    except Missing as missing:
        return Finding(name, missing=missing)
