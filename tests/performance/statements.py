"""What our code says to PostgreSQL, taken down at the driver, to be said again without our code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement


@dataclass(frozen=True)
class Said:
    """One statement; `many`: its arguments are a list of rows."""

    query: str
    arguments: Sequence[Any]
    many: bool = False


@contextmanager
def taken_down() -> Iterator[list[Said]]:
    """Every statement of every asyncpg connection meanwhile, BEGIN and COMMIT included."""
    said: list[Said] = []

    def listen(kind: Any, method: str, *, prepared: bool = False, many: bool = False) -> Any:
        original = getattr(kind, method)

        async def heard(self: Any, *arguments: Any, **options: Any) -> Any:
            query, rest = (self._query, arguments) if prepared else (arguments[0], arguments[1:])
            said.append(Said(query, list(rest[0]) if many else rest, many))
            return await original(self, *arguments, **options)

        return patch.object(kind, method, heard)

    with ExitStack() as stack:
        for method in ("execute", "fetch", "fetchrow", "fetchval"):
            stack.enter_context(listen(asyncpg.Connection, method))
        stack.enter_context(listen(asyncpg.Connection, "executemany", many=True))
        for method in ("fetch", "fetchrow", "fetchval"):
            stack.enter_context(listen(PreparedStatement, method, prepared=True))
        stack.enter_context(listen(PreparedStatement, "executemany", prepared=True, many=True))
        yield said


async def say_again(connection: asyncpg.Connection, said: Sequence[Said]) -> None:
    """The same statements in the same transactions, by the driver alone."""
    for one in said:
        if one.many:
            await connection.executemany(one.query, one.arguments)
        elif one.arguments:
            await connection.fetch(one.query, *one.arguments)
        else:
            await connection.execute(one.query)
