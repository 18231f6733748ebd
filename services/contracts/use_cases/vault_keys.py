"""Replacing the key that wraps the vault's data keys, while secrets are kept and revealed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.contracts.db import secrets
from services.contracts.domain.secret import SealedValue
from services.contracts.gateways.key_providers.provider import KeyProvider, KeyUnknown, WrappedKey
from shared.kit.db import Database

PAGE = 100

Told = Callable[[str, int, int], None]
"""Hears what is being done, with how many of how many values it has been done."""


@dataclass
class Outcome:
    """What a rotation came to; `stays` are secrets whose data key does not unwrap, which keep the old key."""

    key_id: str
    rewrapped: int = 0
    stays: list[UUID] = field(default_factory=list)
    retired: bool = False


async def rotate(database: Database, keys: KeyProvider, told: Told) -> Outcome:
    """Have a new key wrap every data key, and the keys before it none; those are given up only then.

    Killed anywhere and called again it goes on where it was. Raises KeyStoreAway, KeyUnknown, and what the provider
    raises that cannot make a successor.
    """
    await keys.succeed()
    outcome = Outcome(await keys.current())
    while not outcome.retired:
        before = outcome.rewrapped
        await _rewrap_all(database, keys, outcome, told)
        if outcome.stays:
            return outcome
        async with database.transaction() as tx:
            await secrets.use_key(tx, outcome.key_id)
            outcome.retired = await secrets.retire_others(tx, outcome.key_id)
        if not outcome.retired and outcome.rewrapped == before:
            raise KeyUnknown("the key in use was replaced meanwhile")
    await keys.retire()
    return outcome


async def _rewrap_all(database: Database, keys: KeyProvider, outcome: Outcome, told: Told) -> None:
    """Page by page, each stored before the next is asked for."""
    async with database.reading() as reader:
        of = await secrets.count_values(reader, wrapped_otherwise=outcome.key_id)
    after: UUID | None = None
    done = 0
    while True:
        async with database.reading() as reader:
            page = await secrets.wrapped_otherwise(reader, outcome.key_id, after=after, limit=PAGE)
        if not page:
            return
        after = page[-1].secret_id
        rewrapped = await _rewrapped(keys, page, outcome)
        async with database.transaction() as tx:
            for key_id in sorted({wrapped.key_id for _, wrapped in rewrapped}):
                await secrets.use_key(tx, key_id)
            for sealed, wrapped in rewrapped:
                stored = await secrets.rewrap(tx, sealed, key_id=wrapped.key_id, wrapped_key=wrapped.content)
                outcome.rewrapped += stored
        done += len(page)
        told("Wrapping data keys with the new key", done, max(of, done))


async def _rewrapped(
    keys: KeyProvider, page: Sequence[SealedValue], outcome: Outcome
) -> list[tuple[SealedValue, WrappedKey]]:
    """Those of the page that unwrap; one that does not holds up no other."""
    wrapped = [WrappedKey(sealed.key_id, sealed.wrapped_key) for sealed in page]
    try:
        return list(zip(page, await keys.rewrap(wrapped), strict=True))
    except KeyUnknown:
        found: list[tuple[SealedValue, WrappedKey]] = []
        for sealed, each in zip(page, wrapped, strict=True):
            try:
                found += [(sealed, again) for again in await keys.rewrap([each])]
            except KeyUnknown:
                outcome.stays.append(sealed.secret_id)
        return found
