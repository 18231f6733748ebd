"""What a runner's transaction still has to do of the timers it claimed: each ends once, while the claim holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from shared.kit.bus import sets
from shared.kit.db import Transaction
from shared.kit.tables import timers

if TYPE_CHECKING:
    from shared.kit.schedule import Timer


class LeaseLost(Exception):
    """Another replica has taken a timer over, or a command has moved it: nothing of the transaction is stored."""


class Claims:
    """Found by `let_go` and `is_claimed` in the transaction it was made for."""

    def __init__(self, tx: Transaction, owner: UUID, batch: Sequence[Timer]) -> None:
        self._tx = tx
        self._owner = owner
        self._open = {(timer.kind, timer.subject_id): timer for timer in batch}
        tx.__dict__["timer_claims"] = self

    def hold(self, kind: str, subject_id: UUID) -> bool:
        return (kind, subject_id) in self._open

    async def let_go(self, kind: str, subject_id: UUID) -> None:
        timer = self._open.pop((kind, subject_id), None)
        if timer is not None:
            await self._delete([timer])

    async def finish(self) -> None:
        """Last of all, so that a batch locks aggregates before timers, as commands do. Raises LeaseLost."""
        if self._open:
            await self._delete(self._open.values())

    async def _delete(self, claimed: Collection[Timer]) -> None:
        columns = timers.c
        gone = await self._tx.rows(
            sa.delete(timers)
            .where(sets.among(self._tx, columns.id, [timer.id for timer in claimed]), columns.leased_by == self._owner)
            .returning(columns.id, columns.attempts)
        )
        if {(row.id, row.attempts) for row in gone} != {(timer.id, timer.attempts) for timer in claimed}:
            raise LeaseLost()


def is_claimed(tx: Transaction, timer: Timer) -> bool:
    """Whether it is still to be done: a handler before may have moved or cancelled it."""
    claims = _claims_of(tx)
    return claims is not None and claims.hold(timer.kind, timer.subject_id)


async def let_go(tx: Transaction, kind: str, subject_id: UUID) -> None:
    """To be called before a timer is moved or cancelled, as one that repeats does to itself; raises LeaseLost."""
    claims = _claims_of(tx)
    if claims is not None:
        await claims.let_go(kind, subject_id)


def _claims_of(tx: Transaction) -> Claims | None:
    claims: Claims | None = tx.__dict__.get("timer_claims")
    return claims
