"""How commands speak: tables for people, JSON for programs, a line per problem, exit codes that mean something."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    """A check found something, or what was asked for was refused."""
    WRONG_SETTINGS = 2
    """Wrong use or settings; nothing was started."""
    AWAY = 3
    """Something that is needed is away or taken: a database, the log, a port, the data folder."""


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

WHOLE_COLUMNS = frozenset({"id", "status", "kind"})
"""Columns that are copied or searched for, so they are never broken over lines."""

console = Console(highlight=False)


def complain(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table, or one line that says there is nothing."""
    if not rows:
        console.print(f"{title}: none.")
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in WHOLE_COLUMNS)
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else str(value)
