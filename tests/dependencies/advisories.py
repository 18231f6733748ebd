"""Asks an OSV database about every pinned package, and holds what it says against the exceptions that we made."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx

TIMEOUT_SECONDS = 15.0
QUERIES_AT_ONCE = 500
MOST_PAGES = 20

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)(?: ;[^\\]*)?\s*\\?")


class AdvisoriesAway(Exception):
    """The advisory database gave no answer, or none that could be understood."""


@dataclass(frozen=True, order=True)
class Pin:
    name: str
    version: str


@dataclass(frozen=True)
class Finding:
    """`ids`: the advisory's own first, then its other names."""

    pin: Pin
    ids: tuple[str, ...]
    summary: str

    def __str__(self) -> str:
        return f"{self.pin.name} {self.pin.version}: {', '.join(self.ids)}: {self.summary}"


@dataclass(frozen=True)
class Excused:
    """A finding that we live with, why, and up to which day, that day included."""

    id: str
    reason: str
    until: date


def pins_in(locks: Iterable[Path]) -> list[Pin]:
    """Raises ValueError for a line that pins nothing: what is not understood would not be audited."""
    found: set[Pin] = set()
    for lock in locks:
        for number, line in enumerate(lock.read_text().splitlines(), 1):
            if line.startswith((" ", "#")) or not line:
                continue  # A hash of the pin above, or a remark.
            if (pin := _PIN.fullmatch(line)) is None:
                raise ValueError(f"{lock.name}:{number} pins no version")
            found.add(Pin(pin["name"].lower(), pin["version"]))
    return sorted(found)


def excused_in(file: Path) -> list[Excused]:
    """Raises ValueError for an exception without a reason or an end."""
    listed = tomllib.loads(file.read_text()).get("exception", [])
    excused = []
    for each in listed:
        known = each.keys() == {"id", "reason", "until"} and type(each["until"]) is date
        if not known or not str(each["reason"]).strip():
            raise ValueError(f"{file.name}: an exception has an id, a reason and the day `until` which it holds")
        excused.append(Excused(**each))
    return excused


def findings_about(pins: list[Pin], database: str) -> list[Finding]:
    """What the OSV database at that URL knows about these versions; raises AdvisoriesAway."""
    try:
        with httpx.Client(base_url=database, timeout=TIMEOUT_SECONDS) as client:
            found = [(pin, advisory) for pin, ids in _ids_about(client, pins) for advisory in ids]
            told = {advisory: _get(client, f"vulns/{advisory}") for advisory in {advisory for _pin, advisory in found}}
        return [
            Finding(
                pin,
                (advisory, *told[advisory].get("aliases", [])),
                " ".join(str(told[advisory].get("summary") or told[advisory].get("details") or "?").split())[:200],
            )
            for pin, advisory in found
            if not told[advisory].get("withdrawn")
        ]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AdvisoriesAway(f"{type(error).__name__}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdvisoriesAway("it answers something else than an OSV database does") from error


def judged(findings: list[Finding], excused: list[Excused], today: date) -> list[str]:
    """What is wrong: findings that nothing excuses (any more), and exceptions that excuse nothing."""
    wrong = []
    for finding in findings:
        matching = [each for each in excused if each.id in finding.ids]
        if not matching:
            wrong.append(str(finding))
        elif all(each.until < today for each in matching):
            wrong.append(f"{finding} (excused until {matching[0].until}, which is over)")
    known = {name for finding in findings for name in finding.ids}
    return wrong + [f"{each.id} is excused and no longer found: remove it" for each in excused if each.id not in known]


def _ids_about(client: httpx.Client, pins: list[Pin]) -> Iterator[tuple[Pin, list[str]]]:
    for start in range(0, len(pins), QUERIES_AT_ONCE):
        waiting: list[tuple[Pin, str | None]] = [(pin, None) for pin in pins[start : start + QUERIES_AT_ONCE]]
        for _ in range(MOST_PAGES):
            answers = _post(client, "querybatch", {"queries": [_query(pin, page) for pin, page in waiting]})["results"]
            if len(answers) != len(waiting):
                raise ValueError("an answer per question")
            yield from (
                (pin, [vulnerability["id"] for vulnerability in answer.get("vulns", [])])
                for (pin, _page), answer in zip(waiting, answers, strict=True)
            )
            waiting = [
                (pin, answer["next_page_token"])
                for (pin, _page), answer in zip(waiting, answers, strict=True)
                if answer.get("next_page_token")
            ]
            if not waiting:
                break
        else:
            raise ValueError("pages without an end")


def _query(pin: Pin, page: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {"package": {"name": pin.name, "ecosystem": "PyPI"}, "version": pin.version}
    return asked | ({"page_token": page} if page else {})


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json=body).raise_for_status().json()


def _get(client: httpx.Client, path: str) -> Any:
    return client.get(path).raise_for_status().json()
