"""Every no is an RFC 9457 problem with its status, and never repeats what the caller sent."""

import json
from typing import Any

import pytest

from shared.kernel import errors
from shared.kit import problems
from shared.kit.auth import Role
from tests.kit.support import ALL_REFUSALS
from tests.support.service import ServiceUnderTest

STATUS = {
    "Invalid": 422,
    "Unauthenticated": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "Conflict": 409,
    "Gone": 410,
    "TooLarge": 413,
    "WrongMediaType": 415,
    "Unavailable": 503,
    "IllegalMove": 409,
    "StaleWrite": 409,
    "NoRoom": 503,
}
PASSWORD = "hunter2-correct-horse"


@pytest.mark.parametrize("refusal", ALL_REFUSALS)
async def test_a_refusal_answers_its_status_as_a_problem(
    sqlite_service: ServiceUnderTest, refusal: type[errors.Refusal]
) -> None:
    answer = await sqlite_service.anonymous().get(f"/v1/parcels/refusals/{refusal.__name__}")
    body = answer.json()
    assert answer.status_code == body["status"] == STATUS[refusal.__name__]
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["code"] == refusal.__name__
    assert body["type"] == f"urn:mainstay:problem:{refusal.__name__}"
    assert body["title"] == (refusal.__doc__ or "").splitlines()[0]
    assert body["request_id"] == answer.headers["x-request-id"]


def test_every_kernel_refusal_is_in_the_table_of_this_test() -> None:
    kernel = {
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.Refusal) and kind is not errors.Refusal
    }
    assert kernel == STATUS.keys()


async def test_a_refusal_cites_its_clause_its_version_and_its_facts(sqlite_service: ServiceUnderTest) -> None:
    answer = await sqlite_service.as_role(Role.SUPPORT).post("/v1/parcels", json={"label": "lost"})
    body = answer.json()
    assert (body["clause"], body["agreement_version"], body["facts"]) == ("2.1", "2030-1", {"last_seen": "depot"})
    assert body["detail"] == "It never arrived."


@pytest.mark.parametrize(
    "body",
    [
        {"label": PASSWORD * 20},
        {"label": ["a", PASSWORD]},
        {"label": {PASSWORD: PASSWORD}},
        {"label": "a book", "password": PASSWORD},
        {"label": "a book", "weight": PASSWORD},
        [PASSWORD],
        PASSWORD,
    ],
)
async def test_a_malformed_request_is_named_field_by_field_and_never_repeated(
    sqlite_service: ServiceUnderTest, body: Any
) -> None:
    answer = await sqlite_service.as_role(Role.SUPPORT).post("/v1/parcels", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest")
    assert answer.json()["errors"]
    assert PASSWORD not in answer.text


async def test_broken_json_is_not_repeated_either(sqlite_service: ServiceUnderTest) -> None:
    answer = await sqlite_service.as_role(Role.SUPPORT).post(
        "/v1/parcels", content=b'{"label": ' + PASSWORD.encode(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest")
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b'"\xed\xa0\x80"', b"", b"{" * 50])
async def test_no_bytes_make_the_edge_stumble(sqlite_service: ServiceUnderTest, content: bytes) -> None:
    answer = await sqlite_service.as_role(Role.SUPPORT).post(
        "/v1/parcels", content=content, headers={"content-type": "application/json"}
    )
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


async def test_many_field_errors_are_bounded(sqlite_service: ServiceUnderTest) -> None:
    answer = await sqlite_service.as_role(Role.SUPPORT).post(
        "/v1/parcels", json={"label": "a book", **{f"field-{number}": 1 for number in range(500)}}
    )
    assert len(answer.json()["errors"]) == problems.MOST_FIELD_ERRORS
    assert len(answer.content) < 10_000


async def test_a_surprise_answers_500_without_its_reason(sqlite_service: ServiceUnderTest) -> None:
    answer = await sqlite_service.as_role(Role.SUPPORT).post("/v1/parcels", json={"label": "surprise"})
    assert (answer.status_code, answer.json()["code"]) == (500, "UnexpectedFault")
    assert "nobody thought" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_path_and_a_method_that_are_not_there_are_problems(sqlite_service: ServiceUnderTest) -> None:
    client = sqlite_service.anonymous()
    nowhere = await client.get("/v1/nowhere")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "NoSuchPath")
    wrong = await client.delete("/v1/parcels")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "MethodNotAllowed")
    assert "POST" in wrong.headers["allow"] or "GET" in wrong.headers["allow"]


async def test_hostile_field_names_come_back_as_plain_ascii_json(sqlite_service: ServiceUnderTest) -> None:
    content = json.dumps({"label": "a book", "\ud800\u202e": 1}).encode()
    answer = await sqlite_service.as_role(Role.SUPPORT).post(
        "/v1/parcels", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.content.isascii()
