"""How many contracts are in their window, and for how long a disclosed secret should have been replaced."""

from __future__ import annotations

from datetime import timedelta

from services.contracts.use_cases import measures
from tests.contracts.stories.vault import VaultStory
from tests.contracts.story import END, HOUR, OPENS, Story
from tests.support.measures import measured


async def test_a_contract_is_counted_from_the_opening_of_its_window_to_the_end_of_its_period(story: Story) -> None:
    async def in_window() -> float:
        return (await measured(story.service, measures.measure))["mainstay_contracts_in_window"]

    await story.active()
    assert await in_window() == 0
    await story.service.advance(to=OPENS)
    assert await in_window() == 1
    await story.service.advance(to=END - HOUR)
    assert await in_window() == 1
    await story.service.advance(to=END)
    assert await in_window() == 0


async def test_a_disclosed_secret_is_overdue_from_the_end_of_the_agreements_hours_until_it_is_replaced(
    story: Story,
) -> None:
    vault = VaultStory(story.service)

    async def overdue() -> float:
        return (await measured(story.service, measures.measure))["mainstay_rotation_overdue_seconds"]

    await vault.active()
    await vault.kept()
    await vault.reported()
    await story.service.advance(by=timedelta(hours=23))
    assert await overdue() == 0
    await story.service.advance(by=timedelta(hours=2))
    assert 3600 <= await overdue() < 3660
    await vault.replaced()
    assert await overdue() == 0
