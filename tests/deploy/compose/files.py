"""The Compose files as Compose puts them together, as far as the tests look."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "compose"
OVERLAYS = ("development", "production")


@cache
def installation(overlay: str) -> dict[str, Any]:
    """compose.yaml with the overlay on top; `${…}` stays as it is written."""
    merged: dict[str, Any] = _on_top(_read("compose.yaml"), _read(f"compose.{overlay}.yaml"))
    return merged


def services_of(overlay: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = installation(overlay)["services"]
    return found


def is_job(service: dict[str, Any]) -> bool:
    return bool(service["restart"] == "no")


def is_ours(service: dict[str, Any]) -> bool:
    return str(service["image"]).startswith("mainstay")


def secrets_of(service: dict[str, Any]) -> set[str]:
    """Names in the top-level `secrets`."""
    return {each if isinstance(each, str) else each["source"] for each in service.get("secrets", [])}


def awaited_by(services: dict[str, dict[str, Any]], *names: str) -> set[str]:
    """These and all that they wait for."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += services[name].get("depends_on", {})
    return reached


def _read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def _on_top(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        merged = {name: _on_top(under[name], over[name]) for name in under.keys() & over.keys()}
        return {**under, **over, **merged}
    if isinstance(under, list) and isinstance(over, list):
        return under + over
    return over
