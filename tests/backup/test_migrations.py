"""Migrations go up and down and leave what the tables declare."""

from __future__ import annotations

from services.backup.db.tables import metadata
from shared.kit import migrations
from tests.backup.world import World


async def test_the_migrated_database_is_what_the_tables_declare(world: World) -> None:
    database = world.service.runtime.database
    assert await migrations.drift(database, metadata) == []
    await migrations.downgrade(database, world.service.runtime.migrations)
    await migrations.upgrade(database, world.service.runtime.migrations)
    assert await migrations.pending(database, world.service.runtime.migrations) == []
