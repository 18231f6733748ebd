"""The same key and body get the same answer and one effect, whatever arrives at once."""

import asyncio
import io
from datetime import timedelta

import pytest
import sqlalchemy as sa

from shared.kit import idempotency
from shared.kit.auth import Role
from shared.kit.tables import idempotency_keys
from tests.kit.support import count, parcels
from tests.support.service import ServiceUnderTest

BOOK = {"label": "a book"}


async def test_the_same_key_and_body_get_the_same_answer(service: ServiceUnderTest) -> None:
    client, key = service.as_role(Role.SUPPORT), {"idempotency-key": "one"}
    first = await client.post("/v1/parcels", json=BOOK, headers=key)
    second = await client.post("/v1/parcels", json=BOOK, headers=key)
    assert (second.status_code, second.content) == (201, first.content)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["content-type"] == first.headers["content-type"]
    assert await count(service) == 1


async def test_another_body_under_the_same_key_is_refused(service: ServiceUnderTest) -> None:
    client, key = service.as_role(Role.SUPPORT), {"idempotency-key": "one"}
    await client.post("/v1/parcels", json=BOOK, headers=key)
    answer = await client.post("/v1/parcels", json={"label": "another"}, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "IdempotencyKeyReused")
    assert await count(service) == 1


async def test_another_path_under_the_same_key_is_refused(service: ServiceUnderTest) -> None:
    client, key = service.as_role(Role.SUPPORT), {"idempotency-key": "one"}
    await client.post("/v1/parcels", json=BOOK, headers=key)
    answer = await client.post("/v1/parcels/everything", json=BOOK, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "IdempotencyKeyReused")


async def test_the_same_key_of_two_callers_is_two_keys(service: ServiceUnderTest) -> None:
    for name in ("ann", "bob"):
        client = service.as_role(Role.SUPPORT, subject=name)
        answer = await client.post("/v1/parcels", json={"label": name}, headers={"idempotency-key": "one"})
        assert answer.status_code == 201
    assert await count(service) == 2


async def test_twenty_identical_requests_at_once_have_one_effect(service: ServiceUnderTest) -> None:
    client, key = service.as_role(Role.SUPPORT), {"idempotency-key": "one"}
    answers = await asyncio.gather(*(client.post("/v1/parcels", json=BOOK, headers=key) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await count(service) == 1


async def test_a_refused_command_leaves_its_key_free(service: ServiceUnderTest) -> None:
    client, key = service.as_role(Role.SUPPORT), {"idempotency-key": "one"}
    assert (await client.post("/v1/parcels", json={"label": "lost"}, headers=key)).status_code == 409
    assert (await client.post("/v1/parcels", json=BOOK, headers=key)).status_code == 201


async def test_an_answer_that_was_not_raised_is_kept_whatever_its_status(service: ServiceUnderTest) -> None:
    client, key = service.as_role(Role.SUPPORT), {"idempotency-key": "one"}
    answers = [await client.post("/v1/parcels/turned-down", headers=key) for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(409, {"code": "TurnedDown"})] * 2


@pytest.mark.parametrize("key", ["", "a key with spaces", "x" * 201, "schlüssel".encode()])
async def test_a_post_without_a_proper_key_is_refused(sqlite_service: ServiceUnderTest, key: str | bytes) -> None:
    client = sqlite_service.as_role(Role.SUPPORT)
    answer = await client.post("/v1/parcels", json=BOOK, headers=[(b"idempotency-key", _bytes(key))])
    assert (answer.status_code, answer.json()["code"]) == (422, "IdempotencyKeyMissing")
    assert await count(sqlite_service) == 0


def _bytes(key: str | bytes) -> bytes:
    return key if isinstance(key, bytes) else key.encode()


async def test_a_repeated_upload_with_a_new_boundary_is_the_same_request(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT)
    answers = [
        await client.post(
            "/v1/parcels/upload",
            data={"label": "a book"},
            files={"file": ("page.pdf", io.BytesIO(b"%PDF-1.7"), "application/pdf")},
            headers={"idempotency-key": "one", "content-type": f"multipart/form-data; boundary=line-{number}"},
        )
        for number in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert await count(service) == 1


async def test_another_file_under_the_same_key_is_refused(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT)
    statuses = []
    for content in (b"%PDF-1.7", b"%PDF-1.8"):
        answer = await client.post(
            "/v1/parcels/upload",
            data={"label": "a book"},
            files={"file": ("page.pdf", content, "application/pdf")},
            headers={"idempotency-key": "one"},
        )
        statuses.append(answer.status_code)
    assert statuses == [201, 422]


async def test_old_keys_are_forgotten_and_young_ones_kept(service: ServiceUnderTest) -> None:
    client = service.as_role(Role.SUPPORT)
    await client.post("/v1/parcels", json=BOOK)
    await service.advance(by=idempotency.KEPT_FOR + timedelta(seconds=1))
    await client.post("/v1/parcels", json={"label": "another"}, headers={"idempotency-key": "young"})
    async with service.runtime.database.transaction() as tx:
        assert await idempotency.forget_old(tx) == 1
    assert await service.scalar(sa.select(idempotency_keys.c.key)) == "young"
    assert await count(service, parcels) == 2
