"""The story as people see it: a line per thing that happened, and a spinner while a step is under way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from deploy.demo.rows import Row

COLUMNS = (("when (UTC)", 16), ("who", 12), ("what", None), ("clause", 6), ("event", 24))
NARROW = 100


class Timeline(Protocol):
    def busy(self, what: str) -> None: ...

    def show(self, row: Row) -> None: ...


class RichTimeline:
    """Rows as they happen; the day is said once, then only the time."""

    def __init__(self, console: Console, status: Status | None) -> None:
        self._console = console
        self._status = status
        self._day = ""
        self._print(*(Text(name, style="bold") for name, _width in COLUMNS))

    def busy(self, what: str) -> None:
        if self._status is not None:
            self._status.update(f"{what} …")

    def show(self, row: Row) -> None:
        day = row.when.strftime("%Y-%m-%d")
        head = f"{day} {row.when:%H:%M}" if day != self._day else f"{'':10} {row.when:%H:%M}"
        self._day = day
        style = "yellow" if row.refused else "bold cyan" if row.is_time else ""
        mark = "✗ " if row.refused else ""
        self._print(
            Text(head, style="dim" if not row.is_time else "bold cyan"),
            Text(row.who, style="green" if row.by_service else ""),
            Text(mark + row.what, style=style),
            Text(row.clause or ""),
            Text(row.event or "", style="yellow" if row.refused else "magenta"),
        )

    def _print(self, *cells: Text) -> None:
        table = Table.grid(padding=(0, 1))
        for name, width in COLUMNS:
            if width is None:
                table.add_column(ratio=1, overflow="fold")
            else:
                shrunk = 20 if name == "event" and self._console.width < NARROW else width
                table.add_column(width=shrunk, overflow="fold")
        table.expand = True
        table.add_row(*cells)
        self._console.print(table)


class JsonTimeline:
    """A JSON object per row."""

    def busy(self, what: str) -> None:
        return None

    def show(self, row: Row) -> None:
        print(json.dumps({**vars(row), "when": row.when.isoformat()}, ensure_ascii=False), flush=True)


@contextmanager
def timeline(console: Console, *, as_json: bool) -> Iterator[Timeline]:
    """A timeline for this terminal, without a spinner where there is none."""
    if as_json:
        yield JsonTimeline()
    elif console.is_terminal:
        with console.status("Beginning …") as status:
            yield RichTimeline(console, status)
    else:
        yield RichTimeline(console, None)
