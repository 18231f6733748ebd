"""Clause 2.4: maintenance that fails because a server lacks the conditions is exempt, if the customer was told so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.events.contracts import ConditionsDeclaredUnmet
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.incidents import HAPPENED, IncidentStory
from tests.contracts.story import problem
from tests.support.service import ServiceUnderTest


@pytest.fixture
async def story(service: ServiceUnderTest) -> IncidentStory:
    """Given a served contract."""
    story = IncidentStory(service)
    await story.served()
    return story


async def test_conditions_unmet_and_declared_before_are_exempt(story: IncidentStory) -> None:
    """Given that the customer was told, When maintenance fails for it, Then the company is not liable by 2.4."""
    declaration = await story.declares_unmet(["free-disk", "backup-present"])
    await story.reported()
    await story.determines("conditions-unmet")
    answer = await story.decides()
    assert (answer.json()["liability"], answer.json()["clause"]) == ("exempt", "2.4")
    rows = (await story.http.get("/v1/decisions", params={"subject_id": story.incident})).json()["items"]
    assert rows[0]["facts"]["conditions"]["declaration_id"] == declaration
    assert rows[0]["facts"]["conditions"]["unmet"] == ["free-disk", "backup-present"]


async def test_what_was_declared_only_afterwards_exempts_nobody(story: IncidentStory) -> None:
    """Given that nobody had told the customer, When it is declared after the fact, Then that does not count."""
    await story.reported()
    await story.declares_unmet()
    await story.determines("conditions-unmet")
    answer = await story.decides()
    assert problem(answer) == (409, "FactsMissing", "2.4")
    assert answer.json()["facts"]["missing"] == ["conditions-declared-before"]


async def test_a_declaration_that_was_lifted_before_exempts_nobody(story: IncidentStory) -> None:
    """Given a declaration that was lifted as the conditions were met again, Then it does not count either."""
    declaration = await story.declares_unmet()
    await story.service.advance(to=HAPPENED - timedelta(hours=1))
    lifted = await story.technician.post(f"/v1/condition-declarations/{declaration}/lift")
    assert lifted.json()["status"] == "lifted"
    await story.reported()
    await story.determines("conditions-unmet")
    assert problem(await story.decides()) == (409, "FactsMissing", "2.4")


async def test_one_that_was_lifted_after_it_happened_does_count(story: IncidentStory) -> None:
    declaration = await story.declares_unmet()
    await story.reported()
    assert (await story.technician.post(f"/v1/condition-declarations/{declaration}/lift")).status_code == 200
    await story.determines("conditions-unmet")
    assert (await story.decides()).json()["clause"] == "2.4"


async def test_the_customer_is_told_and_can_read_it(story: IncidentStory) -> None:
    """When a technician declares it, Then it is a fact for the customer's notice, and the customer reads it."""
    declaration = await story.declares_unmet()
    [told] = await story.told(ConditionsDeclaredUnmet)
    assert (str(told.declaration_id), told.unmet, told.period_index) == (declaration, ["free-disk"], 1)
    shown = await story.http.get(f"/v1/contracts/{story.contract}/condition-declarations")
    assert [row["id"] for row in shown.json()["items"]] == [declaration]
    other = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    hidden = await other.get(f"/v1/contracts/{story.contract}/condition-declarations")
    assert problem(hidden) == (404, "NoSuchContract", None)


@pytest.mark.parametrize("unmet", [[], ["free-disk", "free-disk"], ["good-mood"], ["x"] * 7])
async def test_only_published_conditions_are_declared_and_each_once(story: IncidentStory, unmet: list[str]) -> None:
    body = {"server_id": story.server_ids[0], "unmet": unmet}
    answer = await story.technician.post(f"/v1/contracts/{story.contract}/condition-declarations", json=body)
    assert problem(answer) == (422, "MalformedRequest", None)


async def test_another_contracts_server_is_not_declared_here(story: IncidentStory) -> None:
    body = {"server_id": str(new_id()), "unmet": ["reachable"]}
    answer = await story.technician.post(f"/v1/contracts/{story.contract}/condition-declarations", json=body)
    assert problem(answer) == (409, "ServerOutsideContract", "3.1")
    unknown = await story.technician.post(f"/v1/condition-declarations/{new_id()}/lift")
    assert problem(unknown) == (404, "NoSuchDeclaration", None)
