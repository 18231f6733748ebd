"""Customers and servers introduce themselves, each to itself; customers move."""

import pytest
import sqlalchemy as sa

from services.contracts.db.tables import customers
from shared.events.contracts import CustomerRegistered, ServerRegistered, ZoneChanged
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.story import Story, problem

BODY = {"name": "Ada", "language": "en", "zone": "Asia/Shanghai", "channel": "portal"}
SHANGHAI = {"zone": "Asia/Shanghai", "channel": "portal"}


async def test_a_customer_registers_the_id_of_its_token_once(story: Story) -> None:
    answer = await story.http.post("/v1/customers", json=BODY)
    assert (answer.status_code, answer.json()["id"]) == (201, str(story.customer_id))
    assert problem(await story.http.post("/v1/customers", json=BODY)) == (409, "CustomerExists", None)
    [fact] = await story.told(CustomerRegistered)
    assert (fact.customer_id, fact.language, fact.zone) == (story.customer_id, "en", "Asia/Shanghai")
    assert "Ada" not in fact.model_dump_json()


async def test_support_registers_a_customer_under_a_new_or_a_given_id(story: Story) -> None:
    first = await story.support.post("/v1/customers", json=BODY)
    given = new_id()
    second = await story.support.post("/v1/customers", json={**BODY, "customer_id": str(given)})
    assert (first.status_code, second.json()["id"]) == (201, str(given))
    listed = (await story.support.get("/v1/customers")).json()["items"]
    assert len(listed) == 2


async def test_a_customer_speaks_for_no_other(story: Story) -> None:
    answer = await story.http.post("/v1/customers", json={**BODY, "customer_id": str(new_id())})
    assert problem(answer) == (404, "NoSuchCustomer", None)
    nobody = story.service.as_role(Role.CUSTOMER)
    assert problem(await nobody.post("/v1/customers", json=BODY)) == (404, "NoSuchCustomer", None)
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(customers)) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"zone": "Mars/Olympus"}, "UnknownZone"),
        ({"channel": "phone"}, "OralRequest"),
        ({"language": "fr"}, "MalformedRequest"),
        ({"name": "  "}, "MalformedRequest"),
        ({"name": "a\u202eb"}, "MalformedRequest"),
        ({"name": "a\x00b"}, "MalformedRequest"),
        ({"e_mail": "ada@example.org"}, "MalformedRequest"),
    ],
)
async def test_a_registration_out_of_form_stores_nothing(story: Story, change: dict[str, str], code: str) -> None:
    answer = await story.http.post("/v1/customers", json={**BODY, **change})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(customers)) == 0
    assert await story.told() == []


async def test_servers_belong_to_their_customer(story: Story) -> None:
    await story.registered_customer()
    server = await story.server()
    [fact] = await story.told(ServerRegistered)
    assert (str(fact.server_id), fact.customer_id) == (server, story.customer_id)
    path = f"/v1/customers/{story.customer_id}/servers"
    assert [item["id"] for item in (await story.http.get(path)).json()["items"]] == [server]
    stranger = Story(story.service)
    await stranger.registered_customer()
    body = {"name": "x", "operating_system": "y", "channel": "portal"}
    assert problem(await stranger.http.post(path, json=body)) == (404, "NoSuchCustomer", None)
    assert problem(await stranger.http.get(path)) == (404, "NoSuchCustomer", None)
    own = await stranger.http.get(f"/v1/customers/{story.customer_id}")
    assert problem(own) == (404, "NoSuchCustomer", None)


async def test_who_moves_keeps_the_calendar_of_running_contracts_and_has_the_new_one_for_the_next(story: Story) -> None:
    first = await story.drafted()
    moved = await story.http.post(f"/v1/customers/{story.customer_id}/change-zone", json=SHANGHAI)
    assert (moved.status_code, moved.json()["zone"]) == (200, "Asia/Shanghai")
    second = await story.drafted(server_ids=[await story.server()])
    zones = [(await story.http.get(f"/v1/contracts/{each}")).json()["zone"] for each in (first, second)]
    assert zones == ["Europe/Berlin", "Asia/Shanghai"]
    again = await story.http.post(f"/v1/customers/{story.customer_id}/change-zone", json=SHANGHAI)
    assert again.status_code == 200
    [fact] = await story.told(ZoneChanged)
    assert (fact.customer_id, fact.zone) == (story.customer_id, "Asia/Shanghai")


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"zone": "Mars/Olympus"}, (422, "UnknownZone", None)),
        ({"channel": "phone"}, (422, "OralRequest", "3.1")),
    ],
)
async def test_a_move_out_of_form_changes_nothing(story: Story, change: dict[str, str], refused: object) -> None:
    await story.registered_customer()
    path = f"/v1/customers/{story.customer_id}"
    assert problem(await story.http.post(f"{path}/change-zone", json={**SHANGHAI, **change})) == refused
    assert (await story.http.get(path)).json()["zone"] == "Europe/Berlin"
    assert await story.told(ZoneChanged) == []


async def test_nobody_moves_another_customer(story: Story) -> None:
    await story.registered_customer()
    stranger = Story(story.service)
    await stranger.registered_customer()
    answer = await stranger.http.post(f"/v1/customers/{story.customer_id}/change-zone", json=SHANGHAI)
    assert problem(answer) == (404, "NoSuchCustomer", None)
