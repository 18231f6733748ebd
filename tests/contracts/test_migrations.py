"""Migrations go up and down with data in them and leave no drift; the tables refuse what must not be."""

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.contracts.db.tables import contract_servers, contracts, metadata, periods
from shared.kit import migrations
from shared.kit.revision_files import revisions_in
from tests.contracts.story import Story


async def test_the_migrated_database_is_the_declared_one(story: Story) -> None:
    assert await migrations.drift(story.service.runtime.database, metadata) == []


async def test_migrations_go_down_and_up_with_data_in_them(story: Story) -> None:
    await story.active()
    runtime = story.service.runtime
    await migrations.downgrade(runtime.database, runtime.migrations)
    assert await migrations.pending(runtime.database, runtime.migrations) == revisions_in(runtime.migrations)
    await migrations.upgrade(runtime.database, runtime.migrations)
    assert await migrations.drift(runtime.database, metadata) == []


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (contracts, {"status": "asleep"}),
        (contracts, {"status": "expired"}),
        (contracts, {"status": "draft"}),
        (contracts, {"acceptance_id": None}),
        (contracts, {"fee_minor": 0}),
        (periods, {"payment_id": None}),
        (periods, {"choice": "renew"}),
        (periods, {"choice": "wait", "chosen_at": None}),
        (periods, {"period_index": 0}),
    ],
)
async def test_the_database_refuses_what_must_not_be(story: Story, table: sa.Table, values: dict[str, object]) -> None:
    await story.active()
    with pytest.raises(IntegrityError):
        async with story.service.runtime.database.transaction() as tx:
            await tx.execute(sa.update(table).values(**values))


async def test_the_database_has_a_server_in_one_live_contract(story: Story) -> None:
    await story.active()
    first = story.contract
    await story.server()
    second = await story.drafted(server_ids=story.server_ids[1:])
    assert first != second
    with pytest.raises(IntegrityError):
        async with story.service.runtime.database.transaction() as tx:
            await tx.execute(sa.update(contract_servers).values(server_id=UUID(story.server_ids[0])))


@pytest.mark.parametrize("days", [-1, 1], ids=["overlap", "gap"])
async def test_the_database_has_periods_follow_each_other(story: Story, days: int) -> None:
    await story.renewing()
    second = periods.c.period_index == 2
    starts_at = await story.service.scalar(sa.select(periods.c.starts_at).where(second))
    moved = sa.update(periods).where(second).values(starts_at=starts_at + timedelta(days=days))
    with pytest.raises(IntegrityError):
        async with story.service.runtime.database.transaction() as tx:
            await tx.execute(moved)
