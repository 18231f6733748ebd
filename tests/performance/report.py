"""The figures for people, as a table and as a picture, and for machines."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from rich.text import Text

from tests.performance.figures import Aim, Figure
from tests.performance.machine import commit, machine
from tests.performance.rows import ROWS

COLOURS = {"stretch": "green", "goal": "cyan", "below": "red", "": "white"}
BAR = {"stretch": "#2f8f4e", "goal": "#3b7dd8", "below": "#c8453b"}
BAR_HEIGHT, LABEL_WIDTH, SCALE_WIDTH = 22, 430, 420
LEAST, MOST = 0.25, 16.0
"""Ends of the picture's scale, in goals."""


def line(key: str, figure: Figure) -> Text:
    """One figure as it is printed when it is known."""
    text = Text(f"{key:<14}{figure.name:<48}")
    text.append(f"{shown(figure.value):>9} {figure.unit:<8}", style=COLOURS[figure.reached])
    text.append(f"{_aim(figure.aim):<15}{figure.reached:<8}")
    parts = [f"{name} {shown(value)}" for name, value in figure.parts.items()]
    spread = [" … ".join(map(shown, figure.spread))] if figure.spread else []
    text.append(", ".join([*spread, *parts]), style="dim")
    return text


def shown(value: float) -> str:
    """Three significant digits, or whole from a hundred."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Told:
    """What came of a row: its figures, or why it could not run; and how busy the machine was by then."""

    figures: Sequence[Figure]
    failed: str | None = None
    load: float = field(default_factory=lambda: os.getloadavg()[0])


def write(folder: Path, told: Mapping[str, Told], *, quick: bool) -> None:
    """results.json, README.md and results.svg; rows that were not run keep what was written of them before."""
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.json"
    rows = json.loads(results.read_text())["rows"] if results.exists() else {}
    about = {"commit": commit(), "at": datetime.now(UTC).isoformat(timespec="seconds"), "quick": quick}
    for key, came in told.items():
        figures = [_as_json(figure) for figure in came.figures]
        rows[key] = {**about, "load": came.load, "failed": came.failed, "figures": figures}
    found = {"machine": machine(), "rows": {key: rows[key] for key in ROWS if key in rows}}
    results.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"shown": shown}
    says = {key: ROWS[key].says for key in rows if key in ROWS}
    (folder / "README.md").write_text(templates.get_template("README.md.jinja").render(**found, says=says) + "\n")
    (folder / "results.svg").write_text(templates.get_template("results.svg.jinja").render(**_picture(found)) + "\n")


def _as_json(figure: Figure) -> dict[str, Any]:
    return {**asdict(figure), "aims": _aim(figure.aim), "reached": figure.reached}


def _aim(aim: Aim | None) -> str:
    if aim is None:
        return ""
    bounds = shown(aim.goal) + (f", {shown(aim.stretch)}" if aim.stretch is not None else "")
    return f"{'≤' if aim.at_most else '≥'} {bounds}"


def _picture(found: Mapping[str, Any]) -> dict[str, Any]:
    """Every figure that has a goal as a bar: how many times the goal, on a logarithmic scale."""
    bars: list[dict[str, Any]] = []
    for row in found["rows"].values():
        for figure in row["figures"]:
            if figure["aim"]:
                times = _times_goal(figure["value"], figure["aim"])
                text = f"{shown(figure['value'])} {figure['unit']}"
                stretch = _x(_times_goal(figure["aim"]["stretch"], figure["aim"])) if figure["aim"]["stretch"] else None
                bars.append(
                    {"name": figure["name"], "text": text, "x": _x(times), "stretch": stretch}
                    | {"colour": BAR[figure["reached"]], "y": 40 + len(bars) * BAR_HEIGHT}
                )
    return {
        "bars": bars,
        "left": LABEL_WIDTH,
        "goal": _x(1),
        "width": LABEL_WIDTH + SCALE_WIDTH + 110,
        "height": 50 + len(bars) * BAR_HEIGHT,
    }


def _times_goal(value: float, aim: Mapping[str, Any]) -> float:
    return float(aim["goal"] / value if aim["at_most"] else value / aim["goal"])


def _x(times: float) -> float:
    bounded = min(max(times, LEAST), MOST)
    return round(LABEL_WIDTH + SCALE_WIDTH * math.log(bounded / LEAST) / math.log(MOST / LEAST), 1)
