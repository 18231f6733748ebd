"""A confidential command has one effect, and what it was sent and answered is kept nowhere."""

from __future__ import annotations

import asyncio
from collections import Counter

import sqlalchemy as sa

from shared.kit.auth import Role
from shared.kit.tables import audit_rows, idempotency_keys
from tests.kit.support import count
from tests.support.service import ServiceUnderTest

SECRET = {"label": "a short secret"}
PATH = "/v1/parcels/sealed"
KEY = {"idempotency-key": "one"}


async def kept(service: ServiceUnderTest) -> str:
    async with service.runtime.database.reading() as reader:
        return repr([tuple(row) for row in await reader.rows(sa.select(idempotency_keys))])


async def test_a_repeated_key_is_refused_because_the_answer_is_not_kept(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT)
    first = await client.post(PATH, json=SECRET, headers=KEY)
    assert (first.status_code, first.json()["label"], first.headers["cache-control"]) == (
        201,
        SECRET["label"],
        "no-store",
    )
    again = await client.post(PATH, json=SECRET, headers=KEY)
    assert (again.status_code, again.json()["code"]) == (409, "AnswerNotKept")
    assert await count(service) == 1
    assert SECRET["label"] not in again.text + await kept(service)


async def test_another_body_under_the_same_key_is_refused_without_a_trace_of_either(service: ServiceUnderTest) -> None:
    """A hash would let whoever has the database find a short secret by trying."""
    client = service.as_role(Role.SUPPORT)
    await client.post(PATH, json=SECRET, headers=KEY)
    answer = await client.post(PATH, json={"label": "another"}, headers=KEY)
    assert answer.json()["code"] == "AnswerNotKept"
    await client.post(PATH, json={"label": "another"}, headers={"idempotency-key": "two"})
    async with service.runtime.database.reading() as reader:
        hashes = [row.request_sha256 for row in await reader.rows(sa.select(idempotency_keys))]
    assert len(hashes) == 2
    assert len(set(hashes)) == 1


async def test_a_key_of_one_route_is_none_for_another(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT)
    for first, second in ((PATH, "/v1/parcels"), ("/v1/parcels", PATH)):
        key = {"idempotency-key": f"first-{first}"}
        assert (await client.post(first, json={"label": first}, headers=key)).status_code == 201
        answer = await client.post(second, json={"label": first}, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (422, "IdempotencyKeyReused")


async def test_ten_at_once_have_one_effect(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT)
    answers = await asyncio.gather(*(client.post(PATH, json=SECRET, headers=KEY) for _ in range(10)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}
    assert await count(service) == 1


async def test_a_refused_one_leaves_its_key_free_and_nothing_stored(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT)
    assert (await client.post(PATH, json={"label": "lost"}, headers=KEY)).json()["code"] == "ParcelLost"
    assert await count(service) == 0
    assert (await client.post(PATH, json=SECRET, headers=KEY)).status_code == 201


async def test_without_a_key_nothing_is_begun(service: ServiceUnderTest) -> None:
    answer = await service.as_role(Role.SUPPORT).post(PATH, json=SECRET, headers={"idempotency-key": "not one"})
    assert (answer.status_code, answer.json()["code"]) == (422, "IdempotencyKeyMissing")
    assert await count(service) == 0


async def test_the_caller_is_on_record_as_ever(service: ServiceUnderTest) -> None:
    await service.as_role(Role.SUPPORT, subject="ann").post(PATH, json=SECRET)
    event = await service.scalar(sa.select(audit_rows.c.event))
    assert event["by"] == "ann"
    assert SECRET["label"] not in repr(event)
