"""How long work is going: a bar on stderr for people, a line now and then where nobody looks at a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_SECONDS = 5.0

Told = Callable[[str, int, int], None]
"""What is being done, and how many of how many are; of none where nobody knows how many there are."""


@contextmanager
def progress() -> Iterator[Told]:
    """Stdout is for results alone."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        ) as bars:
            yield _on(bars)
    else:
        yield _Lines().tell


def _on(bars: Progress) -> Told:
    tasks = {}

    def tell(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total or None)
        bars.update(tasks[what], completed=done, total=total or None)

    return tell


class _Lines:
    """Short work says nothing."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._last >= LINE_EVERY_SECONDS:
            self._last = time.monotonic()
            print(f"{what}: {done}" + (f" of {total}" if total else ""), file=sys.stderr, flush=True)
