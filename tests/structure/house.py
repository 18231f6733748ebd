"""What there is: files, modules, services, routes and facts, found anew for every run."""

from __future__ import annotations

import ast
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import APIRoute

from shared.events.envelope import Fact
from shared.events.registry import BY_TYPE, FACTS
from shared.kit.settings import CommonSettings

ROOT = Path(__file__).parents[2]
CODE = ("shared", "services", "deploy", "tests")
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").exists())


@cache
def project_files() -> list[Path]:
    """Every file of the project: what git tracks or would, or, outside a checkout, what is not hidden."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=30).stdout.decode()
        names = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [path for folder in (*CODE, "docs") for path in (ROOT / folder).rglob("*")]
    return sorted(path for path in set(names) if path.is_file() and "__pycache__" not in path.parts)


def modules(*folders: str) -> list[Path]:
    """Python files under these top folders."""
    wanted = folders or CODE
    return [path for path in project_files() if path.suffix == ".py" and name_of(path).split("/")[0] in wanted]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def part_of(service: str, part: str) -> ModuleType:
    """`services.<service>.<part>`"""
    return import_module(f"services.{service}.{part}")


@cache
def app_of(service: str) -> FastAPI:
    """The service's application over an SQLite file that nobody reads."""
    app, opening = part_of(service, "app"), part_of(service, "opening")
    folder = Path(tempfile.mkdtemp(prefix="mainstay-structure-"))
    built: FastAPI = app.create_app(opening.open_runtime(CommonSettings(data_dir=folder)))
    return built


@cache
def openapi_of(service: str) -> dict[str, Any]:
    return app_of(service).openapi()


def operations_of(service: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of everything that the service's OpenAPI lists."""
    for path, item in openapi_of(service)["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def routes_of(app: Any) -> Iterator[APIRoute]:
    """Every FastAPI route of an application or router, included ones too."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router)


def metadata_of(service: str) -> sa.MetaData:
    found: sa.MetaData = part_of(service, "db.tables").metadata
    return found


def facts_of(service: str) -> list[type[Fact]]:
    """What the service tells."""
    return [fact for fact in FACTS if fact.producer == service]


def heard_by_name(service: str) -> set[type[Fact]]:
    """What the service hears because a handler names it."""
    return {BY_TYPE[name] for name in part_of(service, "consumers").handlers._by_type}


def heard_by_topic(service: str) -> set[type[Fact]]:
    """What the service hears because a handler takes the whole topic."""
    topics = part_of(service, "consumers").handlers._by_topic
    return {fact for fact in FACTS if fact.topic() in topics}
