"""The hot paths of billing cost no more than they did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.billing.db.tables import metadata
from tests.billing.story import GERMAN, Story, a_contract
from tests.support.costs import Cost, insist_on_cost

Work = Callable[[], Awaitable[Any]]


async def an_issue(story: Story) -> Work:
    contract = a_contract()
    customer = f"/v1/customers/{contract.customer_id}/billing-profile"
    assert (await story.support.put(customer, json=GERMAN)).status_code == 200
    return lambda: story.service.tell(contract)


async def a_report(story: Story) -> Work:
    invoice = await story.issued()
    return lambda: story.report(invoice)


async def an_approval(story: Story) -> Work:
    payment_id = await story.reported(await story.issued())
    return lambda: story.approve(payment_id)


COSTS: dict[Callable[[Story], Awaitable[Work]], dict[str, Cost]] = {
    an_issue: {"sqlite": Cost(13, 1, 2782, 0), "postgresql": Cost(11, 1, 2782, 0)},
    a_report: {"sqlite": Cost(10, 1, 3043, 711), "postgresql": Cost(7, 1, 3043, 711)},
    an_approval: {"sqlite": Cost(14, 1, 3745, 745), "postgresql": Cost(11, 1, 3745, 745)},
}


@pytest.mark.parametrize("path", COSTS)
async def test_a_hot_path_costs_no_more_than_it_did(story: Story, path: Callable[[Story], Awaitable[Work]]) -> None:
    await insist_on_cost(story.service, metadata, await path(story), COSTS[path])
