"""How many contracts are between their window's opening and their end."""

from __future__ import annotations

from services.contracts.use_cases import measures
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
