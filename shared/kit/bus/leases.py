"""Fair shares of a fixed set of things among live replicas, kept as rows on the database's clock."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from shared.kernel.errors import Unavailable
from shared.kernel.ids import new_id
from shared.kit.bus import sets
from shared.kit.bus.metrics import LEASE_CHANGES
from shared.kit.db import Database, LockedByAnother, Transaction

LEASE_SECONDS = 5.0
RENEW_AFTER = 0.35
"""Of the lease's length: late enough to be cheap, and one renewal may fail."""
RELEASE_SECONDS = 1.5

log = structlog.get_logger("bus")

Thing = tuple[Any, ...]


class Leases:
    """One replica's share. A lease saves work only: correctness must not depend on two replicas never overlapping."""

    def __init__(
        self,
        database: Database,
        leases: sa.Table,
        members: sa.Table,
        *,
        key: Sequence[str],
        scope: Mapping[str, Any],
        group: str,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        """`key` names the columns that identify a thing, `scope` the columns and values of the group's rows."""
        self._database = database
        self._leases = leases
        self._members = members
        self._key = list(key)
        self._scope = dict(scope)
        self._group = group
        self._seconds = seconds
        self.member = new_id()
        self.changed = asyncio.Event()
        self._owned: frozenset[Thing] = frozenset()
        self._valid_until = 0.0

    @property
    def owned(self) -> frozenset[Thing]:
        """What this replica may work on now; nothing once its lease ran out unrenewed."""
        return self._owned if time.monotonic() < self._valid_until else frozenset()

    async def keep(self, things: Callable[[], Awaitable[Collection[Thing]]]) -> None:
        """Renew until cancelled."""
        while True:
            try:
                await self.renew(await things())
            except (Unavailable, LockedByAnother) as error:
                log.info("leases not renewed", group=self._group, error=type(error).__name__)
            except Exception:
                log.exception("leases not renewed", group=self._group)
            await asyncio.sleep(self._seconds * RENEW_AFTER * random.uniform(0.8, 1.0))  # noqa: S311

    async def renew(self, things: Collection[Thing]) -> frozenset[Thing]:
        """Show up, keep the fair share, give up the surplus, take what is free."""
        asked = time.monotonic()
        now = await self._database.real_now()
        until = now + timedelta(seconds=self._seconds)
        async with self._database.transaction() as tx:
            share = await self._share(tx, now, until, len(things))
            rows = await self._rows(tx, things)
            mine = sorted(thing for thing, (owner, _) in rows.items() if owner == self.member)
            free = [thing for thing, (owner, end) in rows.items() if owner is None or end is None or end < now]
            await self._give_up(tx, mine[share:])
            kept = await self._extend(tx, until)
            # A random choice, or replicas that start together all reach for the same ones.
            wanted = random.sample(free, min(len(free), share - len(kept)))
            taken = await self._take(tx, wanted, now, until)
        self._set(kept | taken, asked + self._seconds)
        return self._owned

    async def release(self) -> None:
        """Hand everything over at once; when the database is away the leases run out by themselves."""
        self._set(frozenset(), 0.0)
        with suppress(Unavailable, LockedByAnother, TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS), self._database.transaction() as tx:
                await tx.execute(
                    sa.update(self._leases)
                    .where(*self._in_scope(self._leases), self._leases.c.owner == self.member)
                    .values(owner=None, leased_until=None)
                )
                await tx.execute(
                    sa.delete(self._members).where(
                        *self._in_scope(self._members), self._members.c.member == self.member
                    )
                )

    async def _share(self, tx: Transaction, now: datetime, until: datetime, things: int) -> int:
        members = self._members
        await tx.upsert(
            members,
            {**self._scope, "member": self.member, "seen_until": until},
            on=[*self._scope, "member"],
            update=["seen_until"],
        )
        rows = await tx.rows(sa.select(members.c.member, members.c.seen_until).where(*self._in_scope(members)))
        alive = sorted(row.member for row in rows if row.seen_until >= now)
        if len(alive) < len(rows):
            long_gone = now - timedelta(seconds=60)
            await tx.execute(sa.delete(members).where(*self._in_scope(members), members.c.seen_until < long_gone))
        whole, rest = divmod(things, len(alive))
        return whole + (alive.index(self.member) < rest)

    async def _rows(self, tx: Transaction, things: Collection[Thing]) -> dict[Thing, tuple[Any, datetime | None]]:
        columns = [self._leases.c[name] for name in self._key]
        statement = sa.select(*columns, self._leases.c.owner, self._leases.c.leased_until).where(
            *self._in_scope(self._leases)
        )
        found = {tuple(row[: len(columns)]): (row.owner, row.leased_until) for row in await tx.rows(statement)}
        missing = sorted(set(things) - found.keys())
        if missing:
            rows = [{**self._scope, **dict(zip(self._key, thing, strict=True))} for thing in missing]
            await sets.put(tx, self._leases, rows, on=())
            found.update((thing, (None, None)) for thing in missing)
        return {thing: found[thing] for thing in things}

    async def _give_up(self, tx: Transaction, things: Collection[Thing]) -> None:
        await self._change(tx, things, [self._leases.c.owner == self.member], owner=None, leased_until=None)

    async def _extend(self, tx: Transaction, until: datetime) -> frozenset[Thing]:
        columns = [self._leases.c[name] for name in self._key]
        rows = await tx.rows(
            sa.update(self._leases)
            .where(*self._in_scope(self._leases), self._leases.c.owner == self.member)
            .values(leased_until=until)
            .returning(*columns)
        )
        return frozenset(tuple(row) for row in rows)

    async def _take(self, tx: Transaction, things: list[Thing], now: datetime, until: datetime) -> frozenset[Thing]:
        leases = self._leases
        free = sa.or_(leases.c.owner.is_(None), leases.c.leased_until.is_(None), leases.c.leased_until < now)
        return await self._change(tx, sorted(things), [free], owner=self.member, leased_until=until)

    async def _change(
        self, tx: Transaction, things: Collection[Thing], guards: list[sa.ColumnElement[bool]], **values: Any
    ) -> frozenset[Thing]:
        if not things:
            return frozenset()
        columns = [self._leases.c[name] for name in self._key]
        these = sa.tuple_(*columns).in_(list(things)) if len(columns) > 1 else columns[0].in_([t[0] for t in things])
        rows = await tx.rows(
            sa.update(self._leases)
            .where(*self._in_scope(self._leases), these, *guards)
            .values(**values)
            .returning(*columns)
        )
        return frozenset(tuple(row) for row in rows)

    def _in_scope(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        return [table.c[name] == value for name, value in self._scope.items()]

    def _set(self, owned: frozenset[Thing], valid_until: float) -> None:
        before, self._owned, self._valid_until = self._owned, owned, valid_until
        if taken := len(owned - before):
            LEASE_CHANGES.labels(self._group, "taken").inc(taken)
        if given := len(before - owned):
            LEASE_CHANGES.labels(self._group, "given").inc(given)
        if owned != before:
            self.changed.set()
