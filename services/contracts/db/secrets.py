"""Rows of secrets and their sealed values, of the keys that wrap these, and of reveals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import secret_reveals, secret_values, secrets, vault_keys
from services.contracts.domain.secret import (
    NoSuchSecret,
    SealedValue,
    Secret,
    SecretKind,
    SecretNameTaken,
    SecretStatus,
    VaultKeyAway,
)
from shared.kernel.errors import StaleWrite
from shared.kit.db import Reader, Transaction


async def insert(tx: Transaction, secret: Secret) -> None:
    """Raises SecretNameTaken."""
    if not await tx.insert_once(secrets, vars(secret)):
        raise SecretNameTaken(field="name")


async def get(reader: Reader, secret_id: UUID, *, only_customer: UUID | None) -> Secret:
    """Raises NoSuchSecret, also for somebody else's."""
    return _found(await reader.row(_one(secret_id, only_customer)))


async def get_for_update(tx: Transaction, secret_id: UUID, *, only_customer: UUID | None) -> Secret:
    """As `get`, and nobody else changes it until the end of `tx`."""
    return _found(await tx.row(_one(secret_id, only_customer).with_for_update()))


async def save(tx: Transaction, secret: Secret) -> None:
    """Raises StaleWrite."""
    guarded = sa.update(secrets).where(secrets.c.id == secret.id, secrets.c.version == secret.version)
    secret.version += 1
    if (await tx.execute(guarded.values(**vars(secret)))).rowcount != 1:
        raise StaleWrite()


async def page(reader: Reader, server_id: UUID, *, after: UUID | None, limit: int) -> list[Secret]:
    """Up to `limit` + 1 secrets of a server that are kept, in id order."""
    kept = sa.and_(secrets.c.server_id == server_id, secrets.c.status == SecretStatus.KEPT)
    query = sa.select(secrets).where(kept).order_by(secrets.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(secrets.c.id > after)
    return [_secret(row) for row in await reader.rows(query)]


async def count_kept(reader: Reader, server_id: UUID) -> int:
    kept = sa.and_(secrets.c.server_id == server_id, secrets.c.status == SecretStatus.KEPT)
    count: int = await reader.scalar(sa.select(sa.func.count()).where(kept))
    return count


# Values


async def put_value(tx: Transaction, sealed: SealedValue) -> None:
    """In the place of the value before it, which is gone then; raises VaultKeyAway."""
    await use_key(tx, sealed.key_id)
    await drop_value(tx, sealed.secret_id)
    await tx.insert(secret_values, vars(sealed))


async def drop_value(tx: Transaction, secret_id: UUID) -> None:
    await tx.execute(sa.delete(secret_values).where(secret_values.c.secret_id == secret_id))


async def value_of(reader: Reader, secret_id: UUID) -> SealedValue:
    """Raises NoSuchSecret."""
    row = await reader.row(sa.select(secret_values).where(secret_values.c.secret_id == secret_id))
    if row is None:
        raise NoSuchSecret()
    return _sealed(row)


async def any_value(reader: Reader) -> bool:
    return await reader.row(sa.select(secret_values.c.secret_id).limit(1)) is not None


# Keys


async def use_key(tx: Transaction, key_id: str) -> None:
    """Nobody retires the key until the end of `tx`; raises VaultKeyAway when it is retired already."""
    await tx.insert_once(vault_keys, {"id": key_id, "used_at": tx.now, "retired_at": None}, on=["id"])
    row = await tx.row(sa.select(vault_keys.c.retired_at).where(vault_keys.c.id == key_id).with_for_update(read=True))
    if row is None or row.retired_at is not None:
        raise VaultKeyAway("Its key was replaced meanwhile.")


async def wrapped_otherwise(reader: Reader, key_id: str, *, after: UUID | None, limit: int) -> list[SealedValue]:
    """Up to `limit` values that another key than this has wrapped, in the order of their secrets."""
    query = sa.select(secret_values).where(secret_values.c.key_id != key_id)
    if after is not None:
        query = query.where(secret_values.c.secret_id > after)
    return [_sealed(row) for row in await reader.rows(query.order_by(secret_values.c.secret_id).limit(limit))]


async def rewrap(tx: Transaction, sealed: SealedValue, *, key_id: str, wrapped_key: bytes) -> bool:
    """Whether the value is still the one that was read: one that was replaced meanwhile has a newer key anyway."""
    columns = secret_values.c
    same = sa.and_(
        columns.secret_id == sealed.secret_id, columns.number == sealed.number, columns.key_id == sealed.key_id
    )
    result = await tx.execute(sa.update(secret_values).where(same).values(key_id=key_id, wrapped_key=wrapped_key))
    return result.rowcount == 1


async def count_values(reader: Reader, *, wrapped_otherwise: str | None = None) -> int:
    """All, or those that another key than `wrapped_otherwise` has wrapped."""
    query = sa.select(sa.func.count()).select_from(secret_values)
    if wrapped_otherwise is not None:
        query = query.where(secret_values.c.key_id != wrapped_otherwise)
    count: int = await reader.scalar(query)
    return count


async def retire_others(tx: Transaction, key_id: str) -> bool:
    """Have no key but this wrap anything from now on; False, and nothing done, while another still has."""
    others = sa.and_(vault_keys.c.id != key_id, vault_keys.c.retired_at.is_(None))
    # Whoever is just storing a value holds its key's row: it is waited for, and seen by the count.
    await tx.rows(sa.select(vault_keys.c.id).where(others).order_by(vault_keys.c.id).with_for_update())
    if await count_values(tx, wrapped_otherwise=key_id):
        return False
    await tx.execute(sa.update(vault_keys).where(others).values(retired_at=tx.now))
    return True


# Reveals


async def keep_reveal(
    tx: Transaction, *, reveal_id: UUID, secret: Secret, work_request_id: UUID, revealed_to: str
) -> None:
    values = {
        "id": reveal_id,
        "secret_id": secret.id,
        "number": secret.current_version,
        "work_request_id": work_request_id,
        "revealed_to": revealed_to,
        "revealed_at": tx.now,
    }
    await tx.insert(secret_reveals, values)


async def count_reveals(reader: Reader, revealed_to: str, *, since: datetime) -> int:
    columns = secret_reveals.c
    query = sa.select(sa.func.count()).where(columns.revealed_to == revealed_to, columns.revealed_at > since)
    count: int = await reader.scalar(query)
    return count


def _one(secret_id: UUID, only_customer: UUID | None) -> sa.Select[Any]:
    query = sa.select(secrets).where(secrets.c.id == secret_id)
    return query if only_customer is None else query.where(secrets.c.customer_id == only_customer)


def _found(row: sa.Row[Any] | None) -> Secret:
    if row is None:
        raise NoSuchSecret()
    return _secret(row)


def _secret(row: sa.Row[Any]) -> Secret:
    return Secret(**{**row._mapping, "kind": SecretKind(row.kind), "status": SecretStatus(row.status)})


def _sealed(row: sa.Row[Any]) -> SealedValue:
    content: Sequence[str] = ("wrapped_key", "nonce", "ciphertext")
    return SealedValue(**{**row._mapping, **{name: bytes(row._mapping[name]) for name in content}})
