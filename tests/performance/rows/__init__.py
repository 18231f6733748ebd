"""The rows of `make bench`, by key; a row's docstring says what runs and what its floor is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from inspect import cleandoc

from tests.performance.figures import Figure
from tests.performance.stage import Stage

Run = Callable[[Stage], AsyncIterator[Figure]]


@dataclass(frozen=True)
class Row:
    key: str
    says: str
    run: Run


ROWS: dict[str, Row] = {}


def row(key: str) -> Callable[[Run], Run]:
    def register(run: Run) -> Run:
        ROWS[key] = Row(key, cleandoc(run.__doc__ or ""), run)
        return run

    return register
