"""The hot paths of contracts cost no more than they did: a regression that no clock has to notice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.contracts.db.tables import metadata
from tests.contracts.story import HOUR, OPENS, START, Story
from tests.support.costs import Cost, insist_on_cost

Work = Callable[[], Awaitable[Any]]


async def a_read(story: Story) -> Work:
    await story.registered_customer()
    return lambda: story.http.get(f"/v1/customers/{story.customer_id}")


async def a_server(story: Story) -> Work:
    await story.registered_customer()
    body = {"name": "web-1", "operating_system": "Debian 12", "channel": "portal"}
    return lambda: story.http.post(f"/v1/customers/{story.customer_id}/servers", json=body)


async def a_draft(story: Story) -> Work:
    await story.registered_customer()
    await story.server()
    return lambda: story.http.post("/v1/contracts", json=story.draft_body())


async def an_acceptance(story: Story) -> Work:
    await story.drafted()
    body = await story.offered()
    return lambda: story.do("accept", body)


async def a_registration(story: Story) -> Work:
    await story.accepted()
    await story.service.advance(to=START)
    payment_id = await story.reports(1, reported_at=START - HOUR)
    return lambda: story.audits(payment_id, 1, reported_at=START - HOUR, audited_at=START)


async def a_shown_contract(story: Story) -> Work:
    await story.active()
    return lambda: story.http.get(f"/v1/contracts/{story.contract}")


async def a_renewal(story: Story) -> Work:
    await story.active()
    await story.service.advance(to=OPENS)
    body = await story.offered()
    return lambda: story.do("renew", body)


# Bytes as they are; statements and transactions are those of PostgreSQL, where what is left behind is one statement,
# and of SQLite, where they cost microseconds.
COSTS: dict[Callable[[Story], Awaitable[Work]], dict[str, Cost]] = {
    a_read: {"sqlite": Cost(1, 0, 0, 152), "postgresql": Cost(1, 0, 0, 152)},
    a_shown_contract: {"sqlite": Cost(5, 0, 0, 1856), "postgresql": Cost(5, 0, 0, 1856)},
    a_server: {"sqlite": Cost(7, 1, 1593, 190), "postgresql": Cost(4, 1, 1593, 190)},
    a_draft: {"sqlite": Cost(7, 1, 1264, 535), "postgresql": Cost(6, 1, 1264, 535)},
    an_acceptance: {"sqlite": Cost(18, 1, 9154, 571), "postgresql": Cost(15, 1, 9154, 571)},
    a_registration: {"sqlite": Cost(16, 1, 2526, 0), "postgresql": Cost(15, 1, 2526, 0)},
    a_renewal: {"sqlite": Cost(14, 1, 3679, 2408), "postgresql": Cost(13, 1, 3679, 2408)},
}


@pytest.mark.parametrize("path", COSTS)
async def test_a_hot_path_costs_no_more_than_it_did(story: Story, path: Callable[[Story], Awaitable[Work]]) -> None:
    await insist_on_cost(story.service, metadata, await path(story), COSTS[path])
