"""Alembic, run from code over the service's own database: up, down, pending, drift."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from shared.kit import tables as kit_tables
from shared.kit.bus import tables as bus_tables
from shared.kit.db import Database

MIGRATION_LOCK = 0x4D53544D  # one migrator at a time on PostgreSQL


async def upgrade(database: Database, folder: Path, revision: str = "head") -> None:
    """Apply pending revisions in order; several processes may call this at once."""
    await database.run_sync(_with_config(folder, lambda config: command.upgrade(config, revision)))


async def downgrade(database: Database, folder: Path, revision: str = "base") -> None:
    await database.run_sync(_with_config(folder, lambda config: command.downgrade(config, revision)))


async def pending(database: Database, folder: Path) -> list[str]:
    """Revisions not yet applied, oldest first."""

    def compare(connection: Connection) -> list[str]:
        current = MigrationContext.configure(connection).get_current_revision()
        script = ScriptDirectory(str(folder))
        return [found.revision for found in script.iterate_revisions("head", current or "base")][::-1]

    result: list[str] = await database.run_sync(compare)
    return result


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
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, render_as_batch=connection.dialect.name == "sqlite")
    context.run_migrations()


def _with_config(folder: Path, run: Callable[[Config], None]) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        run(config)

    return work
