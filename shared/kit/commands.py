"""A command that asks third parties: its story opens the one transaction itself, before or after it has asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from shared.kit.db import Database, Reader, Transaction


class Command:
    """`begin` introduces the caller to the transaction and takes the Idempotency-Key in it."""

    def __init__(self, database: Database, begin: Callable[[Transaction], Awaitable[None]]) -> None:
        self._database = database
        self._begin = begin

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        """What was committed so far; nothing that is seen here is held."""
        return self._database.reading()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Opened once: all that the command changes. Raises AnswerNotKept when the key was used before."""
        async with self._database.transaction() as tx:
            await self._begin(tx)
            yield tx
