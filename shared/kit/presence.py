"""Which processes use a service's database, and the oldest release that still may; all by the database's time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from shared.kernel.errors import Conflict, Unavailable
from shared.kernel.ids import new_id
from shared.kit.db import Database, LockedByAnother, Reader
from shared.kit.tables import running_processes, version_floor
from shared.kit.version import VERSION, release

SIGN_EVERY_SECONDS = 10.0
GONE_AFTER_SECONDS = 60.0
"""A process without a sign for so long does not run any more."""
FORGOTTEN_AFTER_SECONDS = 86_400.0
LEAVE_SECONDS = 1.5

log = structlog.get_logger("presence")


class TooOld(Conflict):
    """The database has been changed for later releases; this one cannot use it any more."""


class OlderProcessRuns(Conflict):
    """A process still runs that needs what this revision takes away."""


@dataclass(frozen=True)
class Running:
    role: str
    version: str
    host: str
    seconds_ago: float
    """Since its last sign."""

    def __str__(self) -> str:
        return f"{self.role} {self.version} on {self.host} (seen {self.seconds_ago:.0f} s ago)"


@asynccontextmanager
async def present(database: Database, role: str, leave: Callable[[], object]) -> AsyncIterator[None]:
    """Count among the running processes meanwhile; raises TooOld.

    `leave` is called when this process finds out later that the database is no longer for it: it was out of touch
    for so long that it counted as gone.
    """
    sign = _Sign(database, role)
    # First the sign, then the look: whoever raises the floor in between has seen the sign.
    await sign.give()
    giving: asyncio.Task[None] | None = None
    try:
        await insist_young_enough(database)
        giving = asyncio.create_task(sign.keep_giving(leave))
        yield
    finally:
        if giving is not None:
            giving.cancel()
            # One that is being given must not come after it was taken back.
            await asyncio.wait([giving], timeout=LEAVE_SECONDS)
        await sign.take_back()


async def insist_young_enough(database: Database) -> None:
    """Raises TooOld."""
    async with database.reading() as reader:
        floor = await reader.row(sa.select(version_floor.c.version, version_floor.c.revision))
    if floor is not None and release(VERSION) < release(floor.version):
        raise TooOld(
            f"Revision {floor.revision} made the database one for Mainstay {floor.version} and later; "
            f"this is {VERSION}: start a later release."
        )


async def running(reader: Reader) -> list[Running]:
    """Every process that gave a sign lately."""
    now = await reader.database.real_now()
    return _living(await reader.rows(sa.select(running_processes)), now)


def raise_floor(connection: Connection, revision: str, version: str) -> None:
    """From the end of this transaction no release before `version` starts; raises OlderProcessRuns."""
    if connection.dialect.name == "postgresql":
        # Who starts meanwhile gives its sign once this has ended, and then finds the floor.
        connection.execute(sa.text("LOCK TABLE running_processes IN SHARE MODE"))
        now = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    else:
        now = datetime.now(UTC)
    living = _living(connection.execute(sa.select(running_processes)).all(), now)
    older = [one for one in living if release(one.version) < release(version)]
    if older:
        raise OlderProcessRuns(
            f"Revision {revision} takes away what releases before {version} need, and there still run: "
            f"{', '.join(map(str, older))}. Upgrade or stop them and run this again; one that was killed counts as "
            f"gone {GONE_AFTER_SECONDS:.0f} s after its last sign."
        )
    known = connection.execute(sa.select(version_floor.c.version)).scalar()
    if known is None:
        connection.execute(sa.insert(version_floor).values(id=1, version=version, revision=revision))
    elif release(known) < release(version):
        connection.execute(sa.update(version_floor).values(version=version, revision=revision))


def _living(rows: Iterable[Any], now: datetime) -> list[Running]:
    found = [Running(row.role, row.version, row.host, (now - row.seen_at).total_seconds()) for row in rows]
    return sorted((one for one in found if one.seconds_ago < GONE_AFTER_SECONDS), key=str)


class _Sign:
    def __init__(self, database: Database, role: str) -> None:
        self._database = database
        self._own = {"id": new_id(), "role": role, "version": VERSION, "host": socket.gethostname()[:200]}

    async def give(self) -> None:
        now = await self._database.real_now()
        row = {**self._own, "started_at": now, "seen_at": now}
        async with self._database.transaction() as tx:
            await tx.upsert(running_processes, row, on=["id"], update=["seen_at"])
            old = running_processes.c.seen_at < now - timedelta(seconds=FORGOTTEN_AFTER_SECONDS)
            await tx.execute(sa.delete(running_processes).where(old))

    async def keep_giving(self, leave: Callable[[], object]) -> None:
        while True:
            await asyncio.sleep(SIGN_EVERY_SECONDS)
            try:
                await self.give()
                await insist_young_enough(self._database)
            except (Unavailable, LockedByAnother) as away:
                log.info("no sign given", error=type(away).__name__)
            except TooOld as too_old:
                log.error("too old for the database", detail=too_old.detail)
                leave()
                return
            except Exception:
                log.exception("no sign given")

    async def take_back(self) -> None:
        """When the database is away it counts as gone after a while by itself."""
        with suppress(Unavailable, LockedByAnother, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS), self._database.transaction() as tx:
                await tx.execute(sa.delete(running_processes).where(running_processes.c.id == self._own["id"]))
