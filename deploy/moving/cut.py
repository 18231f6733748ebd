"""One consistent point over all databases: all stand still for the moment in which snapshots are taken (ADR 0035)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from deploy.moving.apart import Apart, apart_on
from shared.kernel.errors import Unavailable
from shared.kit.bus.clock import real_now
from shared.kit.bus.tables import consumer_offsets
from shared.kit.db import Database, LockedByAnother, Reader
from shared.kit.runtime import Runtime
from shared.kit.tables import audit_rows, idempotency_keys

PATIENCE_SECONDS = (0.25, 0.25, 0.5, 0.5, 1.0, 1.0, 2.0, 2.0)
"""How long each try may hold everybody up, below the three seconds that a statement of theirs waits for a lock."""
PAUSE_SECONDS = 1.0

FENCED = (consumer_offsets.name, idempotency_keys.name, audit_rows.name)
"""An event is applied under a row of the first; a POST begins with the second; every other command ends with the third.

Locked in this order: a command that has its key and wants its audit row must not wait for who waits for its key.
"""


class NeverStill(Unavailable):
    """No moment was found to see all databases at once: something in one of them holds a transaction open."""


@dataclass(frozen=True)
class Snapshot:
    """One service's database as it was at the point. `taken_at` is the database's real time then.

    Whoever had an answer by that time finds its effect here.
    """

    service: str
    reader: Reader
    taken_at: datetime
    connection: Apart


@asynccontextmanager
async def cut(runtimes: Mapping[str, Runtime]) -> AsyncIterator[Mapping[str, Snapshot]]:
    """Snapshots of all databases, by service; raises NeverStill, DatabaseAway.

    None of them holds what was caused by something that another one lacks: between the first snapshot and the last
    no service applied an event, and nobody was answered a command.
    """
    async with AsyncExitStack() as stack:
        connections = {}
        for service, runtime in runtimes.items():
            connections[service] = await apart_on(runtime.database)
            stack.push_async_callback(connections[service].close)
        for patience in PATIENCE_SECONDS:
            try:
                async with fence([runtime.database for runtime in runtimes.values()], patience):
                    taken = await asyncio.gather(*(_snapshot(runtimes[name], connections[name]) for name in runtimes))
            except LockedByAnother:
                await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
                continue
            yield {snapshot.service: snapshot for snapshot in taken}
            return
        raise NeverStill()


@asynccontextmanager
async def fence(databases: Sequence[Database], seconds: float) -> AsyncIterator[None]:
    """Keep everybody from applying events and from being answered; raises LockedByAnother after `seconds`.

    Connections hold it, so it falls by itself when this process dies.
    """
    async with AsyncExitStack() as stack:
        connections = []
        for database in databases:
            connections.append(await apart_on(database))
            stack.push_async_callback(connections[-1].close)
        locked = await asyncio.gather(*(each.lock(FENCED, seconds) for each in connections), return_exceptions=True)
        for trouble in filter(None, locked):
            raise trouble
        yield


async def _snapshot(runtime: Runtime, connection: Apart) -> Snapshot:
    await connection.look()
    reader = Reader(runtime.database, runtime.database.clock.now(), connection.line)
    return Snapshot(runtime.name, reader, await real_now(reader), connection)
