"""Tells on stderr what a long command is at: on a terminal always and within one line, elsewhere now and then."""

from __future__ import annotations

import sys
import time
from typing import TextIO

EVERY_SECONDS = 1.0
EVERY_SECONDS_ELSEWHERE = 30.0


class Progress:
    """`quiet` says nothing. Counts are shown at most once a second on a terminal, twice a minute elsewhere.

    `what` is the first step, which is told with its first count only: short work says nothing.
    """

    def __init__(self, what: str = "", *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = None if quiet else (stream or sys.stderr)
        self._on_terminal = self._stream is not None and self._stream.isatty()
        self._what = what
        self._shown_at = time.monotonic()

    def begin(self, what: str) -> None:
        """The next step, in words."""
        self._what = what
        if self._on_terminal or self._is_time():
            self._show("")

    def at(self, count: int, of: int | None = None) -> None:
        """How far the step is."""
        if self._is_time():
            self._show(f": {count:,}" + (f" of {of:,}" if of else ""))

    def end(self) -> None:
        if self._on_terminal:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def _is_time(self) -> bool:
        pause = EVERY_SECONDS if self._on_terminal else EVERY_SECONDS_ELSEWHERE
        return time.monotonic() - self._shown_at >= pause

    def _show(self, count: str) -> None:
        if self._stream is None:
            return
        self._shown_at = time.monotonic()
        if self._on_terminal:
            print(f"\r\x1b[K{self._what}{count}", end="", file=self._stream, flush=True)
        else:
            print(f"{self._what}{count}", file=self._stream, flush=True)
