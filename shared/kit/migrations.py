"""Alembic, run from code over the service's own database: up in two phases, down, pending, drift."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from shared.kernel.errors import Conflict, Refusal, Unavailable
from shared.kit import safe_sql
from shared.kit import tables as kit_tables
from shared.kit.bus import tables as bus_tables
from shared.kit.db import Database
from shared.kit.presence import raise_floor
from shared.kit.revision_files import Revision, config_of, revisions_in, statements_of

MIGRATION_LOCK = 0x4D53544D  # one migrator at a time on PostgreSQL
OTHER_MIGRATOR_SECONDS = 300.0
LOCK_TIMEOUT_MS = 2_000
"""While a statement waits for its lock, everybody who comes later waits behind it."""
STATEMENT_TIMEOUT_MS = 8_000
BUSY_SECONDS = 60.0
SHORT_PAUSE_SECONDS = (0.05, 0.2)
PAUSE_SECONDS = (0.5, 2.0)
_BUSY_STATES = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


class NoSuchRevision(Conflict):
    """The database stands at a revision that this service does not have."""


class TableBusy(Unavailable):
    """A long transaction holds a table that a revision changes."""


class MigratorBusy(Unavailable):
    """Another migrator has been at work on this database for long."""


async def upgrade(
    database: Database, folder: Path, revision: str = "head", *, contract: bool = False
) -> list[Revision]:
    """Apply pending revisions in order; several processes may do so at once. On PostgreSQL each is a transaction.

    Without `contract` it stops before the first contract revision, unless the database is new. Returns what was
    applied. Raises UnsafeRevision, OlderProcessRuns, TableBusy, MigratorBusy, NoSuchRevision; what was applied before
    stays.
    """
    work = partial(_upgrade, folder=folder, target=revision, contract=contract)
    applied, refusal = await database.run_sync(work, hurried=False)
    if refusal is not None:
        raise refusal
    return applied


async def downgrade(database: Database, folder: Path, revision: str = "base") -> None:
    await database.run_sync(
        lambda connection: command.downgrade(config_of(folder, connection=connection), revision), hurried=False
    )


async def current(database: Database) -> str | None:
    """The revision at which the database stands; None for a new one."""
    return await database.run_sync(_current)


async def pending(database: Database, folder: Path) -> list[Revision]:
    """Not yet applied, oldest first; nothing when a later release has brought the database further. NoSuchRevision."""
    return after(await current(database), revisions_in(folder))


def after(current: str | None, known: list[Revision]) -> list[Revision]:
    """Those of `known` that follow `current`; none when that is of a later release. Raises NoSuchRevision."""
    numbers = [step.number for step in known]
    if current is None:
        return known
    if current in numbers:
        return known[numbers.index(current) + 1 :]
    if current.isdecimal() and current > numbers[-1]:
        return []
    raise NoSuchRevision(f"The database stands at revision {current}, which is none of this service's.")


def lacking(pending: Sequence[Revision]) -> list[Revision]:
    """Those without which no process of this release starts: all but contract revisions at the end."""
    expands = [number for number, step in enumerate(pending, start=1) if step.phase == "expand"]
    return list(pending[: expands[-1]]) if expands else []


def knows(folder: Path, revision: str) -> bool:
    """Whether this version of the service has that revision."""
    return any(found.number == revision for found in revisions_in(folder))


async def drift(database: Database, own: sa.MetaData) -> list[Any]:
    """Differences between the migrated database and the declared tables; empty when they agree."""

    def compare(connection: Connection) -> list[Any]:
        migration = MigrationContext.configure(connection, opts={"compare_type": False})
        return list(compare_metadata(migration, merged(own)))

    result: list[Any] = await database.run_sync(compare)
    return result


def merged(own: sa.MetaData) -> sa.MetaData:
    """The service's own tables together with the kit's, of which the bus's are part."""
    whole = sa.MetaData(naming_convention=kit_tables.NAMING)
    for part in (bus_tables.metadata, own):
        for table in part.tables.values():
            if table.name not in whole.tables:
                table.to_metadata(whole)
    return whole


def run_environment() -> None:
    """What every service's migrations/env.py does."""
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True)
    else:
        connection: Connection = context.config.attributes["connection"]
        context.configure(connection=connection, render_as_batch=connection.dialect.name == "sqlite")
    with context.begin_transaction():
        context.run_migrations()


def _upgrade(
    connection: Connection, *, folder: Path, target: str, contract: bool
) -> tuple[list[Revision], Refusal | None]:
    applied: list[Revision] = []
    try:
        if _on_postgresql(connection):
            _become_the_only_migrator(connection)
        before = _current(connection)
        new = before is None
        for step in _up_to(target, after(before, revisions_in(folder))):
            if step.phase == "contract" and not (contract or new):
                break
            if _on_postgresql(connection):
                _apply_beside_traffic(connection, folder, step, before, new=new)
            else:
                _apply(connection, folder, step)
            applied.append(step)
            before = step.number
    except Refusal as refusal:
        return applied, refusal
    return applied, None


def _apply_beside_traffic(
    connection: Connection, folder: Path, step: Revision, before: str | None, *, new: bool
) -> None:
    """Try until it gets its locks, each time for a moment only; raises UnsafeRevision, OlderProcessRuns, TableBusy."""
    statements = statements_of(folder, step, before=before, dialect="postgresql")
    if not new:
        safe_sql.insist_safe(step, statements)
    unhurried = safe_sql.blocks_nobody(statements)
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            _set_timeouts(connection, unhurried=unhurried)
            _apply(connection, folder, step, alone=unhurried)
            connection.commit()
            return
        except DBAPIError as error:
            connection.rollback()
            if getattr(error.orig, "sqlstate", None) not in _BUSY_STATES:
                raise
            if time.monotonic() > deadline:
                raise TableBusy(
                    f"Revision {step.number} did not get its lock on a table within {BUSY_SECONDS:.0f} s: a long "
                    "transaction holds it. End that (pg_stat_activity shows it) and run this again."
                ) from None
        except Refusal:
            connection.rollback()
            raise
        _pause(PAUSE_SECONDS)


def _apply(connection: Connection, folder: Path, step: Revision, *, alone: bool = False) -> None:
    if step.oldest_version is not None:
        raise_floor(connection, step.number, step.oldest_version)
    if alone:
        # Building an index beside traffic happens outside of transactions.
        connection.commit()
    command.upgrade(config_of(folder, connection=connection), step.number)


def _become_the_only_migrator(connection: Connection) -> None:
    """Until the connection ends. Asked for again and again: who waits in a transaction holds up building an index."""
    deadline = time.monotonic() + OTHER_MIGRATOR_SECONDS
    while True:
        mine = connection.execute(sa.select(sa.func.pg_try_advisory_lock(MIGRATION_LOCK))).scalar_one()
        connection.commit()
        if mine:
            return
        if time.monotonic() > deadline:
            raise MigratorBusy()
        _pause(SHORT_PAUSE_SECONDS)


def _set_timeouts(connection: Connection, *, unhurried: bool) -> None:
    for name, milliseconds in (("lock_timeout", LOCK_TIMEOUT_MS), ("statement_timeout", STATEMENT_TIMEOUT_MS)):
        connection.execute(sa.text(f"SET {name} = {0 if unhurried else milliseconds}"))


def _pause(seconds: tuple[float, float]) -> None:
    await_only(asyncio.sleep(random.uniform(*seconds)))  # noqa: S311


def _on_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _current(connection: Connection) -> str | None:
    found = MigrationContext.configure(connection).get_current_revision()
    if _on_postgresql(connection):
        connection.commit()
    return found


def _up_to(target: str, steps: list[Revision]) -> list[Revision]:
    return steps if target == "head" else [step for step in steps if step.number <= target]
