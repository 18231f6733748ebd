"""The revisions build exactly the declared tables, and can be undone."""

from __future__ import annotations

import sqlalchemy as sa

from services.billing.db.tables import metadata
from shared.kit import migrations
from tests.billing.story import Story


async def test_the_revisions_build_the_declared_tables_with_their_constraints(story: Story) -> None:
    database = story.service.runtime.database
    assert await migrations.drift(database, metadata) == []

    def names(connection: sa.Connection) -> dict[str, set[str]]:
        inspector = sa.inspect(connection)
        return {
            table.name: {str(check["name"]) for check in inspector.get_check_constraints(table.name)}
            for table in metadata.sorted_tables
        }

    declared = {
        table.name: {str(check.name) for check in table.constraints if isinstance(check, sa.CheckConstraint)}
        for table in metadata.sorted_tables
    }
    found = await database.run_sync(names)
    for table, checks in declared.items():
        assert found[table] == {f"ck_{table}_{name.removeprefix(f'ck_{table}_')}" for name in checks}


async def test_the_revisions_go_down_and_up_again_with_data_in_them(story: Story) -> None:
    invoice = await story.issued()
    await story.approve(await story.reported(invoice, amount_minor=99_999))
    runtime = story.service.runtime

    await migrations.downgrade(runtime.database, runtime.migrations)
    await migrations.upgrade(runtime.database, runtime.migrations)

    assert await migrations.pending(runtime.database, runtime.migrations) == []
