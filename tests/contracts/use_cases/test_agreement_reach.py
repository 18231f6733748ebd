"""Which contracts a published version that is not in effect yet would reach."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from shared.kit.auth import Role
from tests.contracts.stories.agreements import Folders
from tests.contracts.story import END, HOUR, OPENS, PLAN, START, Story, problem


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    return Folders(tmp_path / "agreements", monkeypatch)


async def test_a_new_version_reaches_the_contracts_that_renew_after_it_takes_effect(
    story: Story, folders: Folders
) -> None:
    """A version within the window reaches for certain nobody; one after a decided renewal reaches the next."""
    await story.active()
    folders.write("2030-9", OPENS + HOUR)
    folders.write("2031-1", END)
    folders.serve()
    admin = story.service.as_role(Role.ADMIN)
    assert await reach(admin, "2031-1") == []
    [(contract, certainty)] = await reach(admin, "2030-9")
    assert (contract, certainty) == (story.contract, "open")
    await story.service.advance(to=OPENS)
    assert (await story.do("renew")).status_code == 200
    [(contract, certainty)] = await reach(admin, "2031-1")
    assert (contract, certainty) == (story.contract, "certain"), "the renewal after the one that is decided"
    assert await reach(admin, "2030-9") == [], "that renewal would be by 2031-1"
    await story.pays(2, reported_at=OPENS, audited_at=OPENS)
    await story.service.advance(to=OPENS + 2 * HOUR)
    assert problem(await admin.get("/v1/agreements/2030-9/reach")) == (409, "AlreadyInEffect", "3.3")


async def test_a_contract_that_stops_or_ended_is_not_reached(story: Story, folders: Folders) -> None:
    await story.active()
    folders.write("2030-9", OPENS)
    folders.serve()
    admin = story.service.as_role(Role.ADMIN)
    assert len(await reach(admin, "2030-9")) == 1
    await story.do("stop")
    assert await reach(admin, "2030-9") == []
    assert problem(await story.support.get("/v1/agreements/2030-9/reach")) == (403, "Forbidden", None)


async def test_reach_comes_in_pages_and_counts_by_plan_and_term(story: Story, folders: Folders) -> None:
    bought = [await story.accepted()]
    for plan_code in (PLAN, PLAN, "essential-yearly-eur"):
        bought.append(await story.accepted(server_ids=[await story.server()], plan_code=plan_code))
    await story.service.advance(to=START)
    for story.contract in bought:
        await story.pays(1, reported_at=START - HOUR, audited_at=START)
    folders.write("2030-9", OPENS)
    folders.serve()
    admin = story.service.as_role(Role.ADMIN)
    first = (await admin.get("/v1/agreements/2030-9/reach?limit=3")).json()
    assert [
        (each["plan_code"], each["term_months"], each["contracts"], each["certain"]) for each in first["plans"]
    ] == [
        ("care-monthly-eur", 1, 3, 3),
        ("essential-yearly-eur", 12, 1, 1),
    ]
    rest = (await admin.get("/v1/agreements/2030-9/reach", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert len(first["items"]) == 3
    assert [each["plan_code"] for each in rest["items"]] == ["essential-yearly-eur"]
    assert (rest["plans"], rest["next_cursor"]) == (None, None)


async def reach(client: httpx.AsyncClient, version: str) -> list[tuple[str, str]]:
    answer = await client.get(f"/v1/agreements/{version}/reach")
    assert answer.status_code == 200, answer.text
    return [(each["contract_id"], each["certainty"]) for each in answer.json()["items"]]
