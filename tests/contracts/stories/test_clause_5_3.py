"""Clause 5.3: the customer keeps important information safe; what gets known of it is the customer's responsibility."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from shared.events.contracts import DisclosedSecretReplaced, RotationOverdue, SecretDisclosed
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.incidents import FINDING, IncidentStory
from tests.contracts.stories.vault import VaultStory
from tests.contracts.story import END, START, problem
from tests.support.service import ServiceUnderTest


@pytest.fixture
async def story(service: ServiceUnderTest) -> VaultStory:
    """Given a served contract."""
    story = VaultStory(service)
    await story.active()
    return story


async def test_important_information_is_the_customers_to_keep_safe(story: VaultStory) -> None:
    """Given information that is no secret of the server, When it is disclosed, Then clause 5.3 says whose it was."""
    reported = await story.reported(secret_id=None, kind="other-information")
    assert (reported["responsible"], reported["clause"]) == ("customer", "5.3")
    [told] = await story.told(SecretDisclosed)
    assert (told.secret_id, told.clause) == (None, "5.3")
    assert (await story.decisions(reported["id"]))[0] == ("disclosure.report", "customer", "5.3", "2026-1")


async def test_a_password_that_the_vault_does_not_keep_is_a_secret_all_the_same(story: VaultStory) -> None:
    """Given a password outside the vault, Then it is 5.2, and the customer confirms that it was replaced."""
    reported = await story.reported(secret_id=None, kind="password")
    assert reported["clause"] == "5.2"
    path = f"/v1/disclosures/{reported['id']}/confirm-replaced"
    other = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    assert problem(await other.post(path, json={"channel": "portal"})) == (404, "NoSuchDisclosure", None)
    assert problem(await story.http.post(path, json={"channel": "telephone"})) == (422, "OralRequest", "3.1")
    answer = await story.http.post(path, json={"channel": "portal"})
    assert (answer.status_code, answer.json()["status"]) == (200, "replaced")
    assert problem(await story.http.post(path, json={"channel": "portal"})) == (409, "IllegalMove", None)
    assert len(await story.told(DisclosedSecretReplaced)) == 1


async def test_nobody_confirms_what_the_vault_still_keeps(story: VaultStory) -> None:
    """Given a disclosed secret in the vault, Then it is replaced there, and not by a word."""
    await story.kept()
    reported = await story.reported()
    path = f"/v1/disclosures/{reported['id']}/confirm-replaced"
    assert problem(await story.http.post(path, json={"channel": "portal"})) == (409, "StillInTheVault", "5.2")
    await story.on_secret("remove", {})
    assert (await story.http.post(path, json={"channel": "portal"})).status_code == 200


async def test_after_the_service_a_password_is_important_information(story: VaultStory) -> None:
    """Clause 5.2 binds while served. Given a service that ended, Then what is disclosed later is by 5.3."""
    await story.service.advance(to=END + timedelta(days=1))
    assert (await story.reported(secret_id=None, kind="password"))["clause"] == "5.3"
    earlier = (START + timedelta(days=1)).isoformat()
    assert (await story.reported(secret_id=None, kind="password", disclosed_at=earlier))["clause"] == "5.2"


async def test_several_clocks_run_side_by_side(story: VaultStory) -> None:
    """Given two disclosures, When one is answered, Then the flag shows the other until that is answered too."""
    first = await story.reported(secret_id=None, kind="token")
    await story.service.advance(by=timedelta(hours=1))
    second = await story.reported(secret_id=None, kind="other-information")
    confirmed = await story.http.post(f"/v1/disclosures/{first['id']}/confirm-replaced", json={"channel": "portal"})
    assert confirmed.status_code == 200
    assert await story.flagged_since() == second["reported_at"]
    await story.service.advance(by=timedelta(days=2))
    assert [told.disclosure_id for told in await story.told(RotationOverdue)] == [UUID(second["id"])]


async def test_a_disclosure_on_record_is_evidence_for_an_incident(service: ServiceUnderTest) -> None:
    """Clause 5.1. Given a disclosure before the incident, not answered by then, Then the incident is the customer's."""
    story = IncidentStory(service)
    await story.served()
    body = {
        "server_id": story.server_ids[0],
        "kind": "password",
        "disclosed_by": "customer",
        "disclosed_at": (await service.now()).isoformat(),
        "channel": "portal",
    }
    answer = await story.http.post(f"/v1/contracts/{story.contract}/disclosures", json=body)
    assert answer.status_code == 201, answer.text
    await story.reported()
    await story.determines("customer-disclosure", findings=[FINDING])
    assert (await story.decides()).json()["liability"] == "customer"
    row = (await story.http.get("/v1/decisions", params={"subject_id": story.incident})).json()["items"][0]
    assert row["facts"]["disclosure"]["disclosure_id"] == answer.json()["id"]


@pytest.mark.parametrize(("by", "answered"), [("company", False), ("unknown", False), ("customer", True)])
async def test_what_the_customer_did_not_disclose_or_had_replaced_is_no_evidence(
    service: ServiceUnderTest, by: str, answered: bool
) -> None:
    """Clause 5.1. Given a disclosure by somebody else, or one that was answered before, Then facts are missing."""
    story = IncidentStory(service)
    await story.served()
    body = {
        "server_id": story.server_ids[0],
        "kind": "password",
        "disclosed_by": by,
        "disclosed_at": (await service.now()).isoformat(),
        "channel": "portal",
    }
    answer = await story.http.post(f"/v1/contracts/{story.contract}/disclosures", json=body)
    if answered:
        path = f"/v1/disclosures/{answer.json()['id']}/confirm-replaced"
        assert (await story.http.post(path, json={"channel": "portal"})).status_code == 200
    await story.reported()
    await story.determines("customer-disclosure", findings=[FINDING])
    assert problem(await story.decides()) == (409, "FactsMissing", "5.1")
