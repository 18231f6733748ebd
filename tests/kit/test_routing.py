"""A write commits before it answers, a route's callers are enforced, and a GET only reads."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.db import Database, Transaction
from shared.kit.routing import LARGEST_JSON_BODY, HouseRoute, HouseRouter
from shared.kit.tables import audit_rows, idempotency_keys
from tests.kit.support import count, parcels
from tests.support.service import ServiceUnderTest


async def test_a_command_is_stored_when_it_is_answered(service: ServiceUnderTest) -> None:
    answer = await service.as_role(Role.SUPPORT).post("/v1/parcels", json={"label": "a book"})
    assert answer.status_code == 201
    assert await count(service) == 1
    assert await count(service, audit_rows) == 1


async def test_a_commit_that_fails_answers_500_and_stores_nothing(service: ServiceUnderTest) -> None:
    answer = await service.as_role(Role.SUPPORT).post("/v1/parcels", json={"label": "a book", "shelf_id": 7})
    assert answer.status_code == 500
    assert answer.json()["code"] == "UnexpectedFault"
    for table in (parcels, audit_rows, idempotency_keys):
        assert await count(service, table) == 0


async def test_a_commit_hook_that_fails_answers_500_and_stores_nothing(service: ServiceUnderTest) -> None:
    async def fail(_tx: Transaction) -> None:
        raise RuntimeError("no room in the outbox")

    service.runtime.database.commit_hooks.append(fail)
    answer = await service.as_role(Role.SUPPORT).post("/v1/parcels", json={"label": "a book"})
    assert answer.status_code == 500
    assert await count(service) == 0


@pytest.mark.parametrize(("label", "status"), [("lost", 409), ("surprise", 500)])
async def test_what_raises_stores_nothing(service: ServiceUnderTest, label: str, status: int) -> None:
    answer = await service.as_role(Role.SUPPORT).post("/v1/parcels", json={"label": label})
    assert answer.status_code == status
    for table in (parcels, audit_rows, idempotency_keys):
        assert await count(service, table) == 0


async def test_the_actor_and_the_correlation_of_a_command_reach_the_audit_trail(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT, subject="ann")
    await client.post("/v1/parcels", json={"label": "a book"}, headers={"x-correlation-id": "order-7"})
    event = await service.scalar(sa.select(audit_rows.c.event))
    assert (event["by"], event["verb"], event["correlation_id"]) == ("ann", "send", "order-7")


async def test_a_get_is_given_a_reader_and_no_transaction(service: ServiceUnderTest) -> None:
    before = service.runtime.database.transactions
    answer = await service.as_role(Role.SUPPORT).get("/v1/parcels/transaction")
    assert answer.json() == {"writes": False, "reads": True}
    assert service.runtime.database.transactions == before


async def test_a_put_needs_no_key_and_repeats_harmlessly(service: ServiceUnderTest) -> None:
    client, path = service.as_role(Role.SUPPORT), f"/v1/parcels/{new_id()}"
    answers = [await client.put(path, json={"label": "a book"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert await count(service) == 1


@pytest.mark.parametrize("role", list(Role))
async def test_only_the_declared_callers_get_in(sqlite_service: ServiceUnderTest, role: Role) -> None:
    answer = await sqlite_service.as_role(role, customer_id=new_id()).post("/v1/parcels", json={"label": "a book"})
    if role in {Role.SUPPORT, Role.CUSTOMER}:
        assert answer.status_code == 201
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "Forbidden")
        assert await count(sqlite_service) == 0


async def test_a_stranger_is_asked_for_a_token_before_anything_else(sqlite_service: ServiceUnderTest) -> None:
    answer = await sqlite_service.anonymous().post("/v1/parcels", content=b"not even JSON")
    assert (answer.status_code, answer.json()["code"]) == (401, "Unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_body_over_the_limit_is_refused_whether_or_not_it_names_its_length(
    sqlite_service: ServiceUnderTest,
) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b" " * 1024

    client = sqlite_service.as_role(Role.SUPPORT)
    for answer in (
        await client.post("/v1/parcels", json={"label": "x" * LARGEST_JSON_BODY}),
        await client.post("/v1/parcels", content=in_pieces(), headers={"content-type": "application/json"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (413, "TooLarge")
        assert answer.headers["content-type"] == "application/problem+json"
    assert await count(sqlite_service) == 0


def test_a_route_that_declares_nothing_does_not_come_up() -> None:
    router = HouseRouter("/v1/silent", tag="silent")

    async def silent() -> None: ...

    with pytest.raises(TypeError, match="declares no caller"):
        router.add_api_route("", silent, methods=["GET"])
    assert router.route_class is HouseRoute


def test_the_openapi_of_a_route_names_its_callers_its_refusals_and_the_key(sqlite_service: ServiceUnderTest) -> None:
    document = sqlite_service.app.openapi()
    send, listed = document["paths"]["/v1/parcels"]["post"], document["paths"]["/v1/parcels"]["get"]
    assert send["x-callers"] == ["customer", "support"]
    [key] = [parameter for parameter in send["parameters"] if parameter["name"] == "Idempotency-Key"]
    assert key["required"]
    assert not any(parameter["name"] == "Idempotency-Key" for parameter in listed["parameters"])
    assert send["responses"]["409"]["content"]["application/problem+json"]["examples"]["ParcelLost"]["value"] == {
        "type": "urn:mainstay:problem:ParcelLost",
        "title": "The parcel was lost on the way.",
        "status": 409,
        "detail": "The parcel was lost on the way.",
        "code": "ParcelLost",
        "clause": "2.1",
    }
    assert {"401", "403", "409", "422", "503"} <= send["responses"].keys()
    assert document["components"]["schemas"]["Problem"]["required"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_a_service_lives_is_ready_and_measured(service: ServiceUnderTest) -> None:
    client = service.anonymous()
    for path in ("/livez", "/readyz"):
        assert (await client.get(path)).json() == {"status": "ok"}
    assert "mainstay_http_requests_total" in (await client.get("/metrics")).text


async def test_a_service_without_its_database_lives_and_is_not_ready(sqlite_service: ServiceUnderTest) -> None:
    there = sqlite_service.runtime.database
    sqlite_service.runtime.database = Database("postgresql://nobody:nothing@127.0.0.1:1/nowhere")
    client = sqlite_service.as_role(Role.SUPPORT)
    try:
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (503, "DatabaseAway")
        answer = await client.post("/v1/parcels", json={"label": "a book"})
        assert (answer.status_code, answer.json()["code"]) == (503, "DatabaseAway")
        assert int(answer.headers["retry-after"]) > 0
    finally:
        sqlite_service.runtime.database = there
