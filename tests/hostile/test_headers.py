"""Hostile values in the headers that are read: refused by name or replaced, never stored, repeated or stumbled over."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.bus.tables import outbox
from shared.kit.tables import idempotency_keys
from tests.hostile.operations import Operation, path_of, sample_of
from tests.hostile.planted import Planted
from tests.hostile.test_values import MARK, inspect, named

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"   ",
    "NUL": f"{MARK}\0".encode(),
    "escape": f"{MARK}\x1b[31m".encode(),
    "delete": f"{MARK}\x7f".encode(),
    "not ASCII": f"{MARK}ä你".encode(),
    "no UTF-8": MARK.encode() + b"\xff\xfe",
    "huge": MARK.encode() * 2_000,
    "spaced": f"{MARK} {MARK}".encode(),
    "SQL": f"'; DROP TABLE outbox; -- {MARK}".encode(),
    "tag": f"<script>{MARK}</script>".encode(),
    "object": json.dumps({MARK: MARK}).encode(),
}
RANGES = [
    "bytes=0-0",
    "bytes=-1",
    "bytes=9-1",
    "bytes=0-",
    "bytes=a-b",
    "lines=1-2",
    "bytes=" + "0-0," * 5_000,
    "\0",
    "bytes=",
]


async def test_a_hostile_idempotency_key_is_refused_by_its_name_and_nothing_is_done(house: Planted) -> None:
    for operation in house.operations:
        if operation.method != "POST":
            continue
        before = await house.rows()
        for kind, value in HOSTILE.items():
            if kind == "tag":
                continue  # A key may be anything that is visible.
            answer = await house.a_caller_of(operation).post(
                path_of(operation, house.ids),
                json=sample_of(operation, house.ids),
                headers=[_header("idempotency-key", value)],
            )
            problem = inspect(answer, (str(operation), kind))
            assert answer.status_code == 422, (str(operation), kind)
            assert "Idempotency-Key" in named(problem), (str(operation), kind, problem)
        assert await house.rows() == before, str(operation)


async def test_hostile_ids_of_a_trace_are_replaced_and_get_into_no_event(house: Planted) -> None:
    operation = next(each for each in house.operations if each.name in COMMANDS)
    database = house.service.runtime.database
    async with database.reading() as reader:
        before = await reader.scalar(sa.select(sa.func.max(outbox.c.id))) or 0
    for kind, value in HOSTILE.items():
        for name in ("x-correlation-id", "traceparent", "x-request-id"):
            answer = await _command(house, operation, {name: value})
            assert answer.status_code < 500, (kind, name, answer.text)
            assert answer.headers["x-correlation-id"] == answer.headers["x-request-id"], (kind, name)
            assert MARK not in str(answer.headers), (kind, name)
    async with database.reading() as reader:
        rows = await reader.rows(sa.select(outbox.c.headers, outbox.c.value).where(outbox.c.id > before))
        keys = await reader.rows(sa.select(idempotency_keys.c.headers))
    assert MARK not in repr([tuple(row) for row in rows])
    assert MARK not in repr([tuple(row) for row in keys])


COMMANDS = {"register_server", "put_billing_profile", "request_restore", "put_contact"}
"""One that succeeds in each service, as often as it is sent."""


async def _command(house: Planted, operation: Operation, headers: dict[str, bytes]) -> Any:
    body = sample_of(operation, house.ids)
    assert body is not None
    body.pop("exemption", None)
    return await house.a_caller_of(operation).request(
        operation.method, path_of(operation, house.ids), json=body, headers=[_header(*each) for each in headers.items()]
    )


async def test_a_hostile_version_is_refused_by_its_name(house: Planted) -> None:
    for operation in house.operations:
        if "if-match" not in operation.names_in("header"):
            continue
        before = await house.rows()
        for kind, value in {
            **HOSTILE,
            "weak": b'W/"1"',
            "several": b'"1", "2"',
            "any": b"*",
            "long": b'"1234567890"',
        }.items():
            answer = await _command(house, operation, {"if-match": value})
            problem = inspect(answer, (str(operation), kind))
            assert named(problem) == {"if-match"}, (str(operation), kind, problem)
        assert await house.rows() == before


@pytest.mark.parametrize("wanted", RANGES, ids=lambda wanted: wanted[:12])
async def test_a_hostile_range_brings_the_whole_answer(on_sqlite: Planted, wanted: str) -> None:
    for operation in on_sqlite.operations:
        if operation.method == "GET":
            client = on_sqlite.a_caller_of(operation)
            path = path_of(operation, on_sqlite.ids)
            plain, ranged = await client.get(path), await client.get(path, headers={"range": wanted})
            assert (ranged.status_code, len(ranged.content)) == (plain.status_code, len(plain.content)), str(operation)
            assert "content-range" not in ranged.headers


async def test_a_type_or_an_encoding_that_is_none_is_no_fault(on_sqlite: Planted) -> None:
    for operation in on_sqlite.operations:
        for kind in ("empty", "no UTF-8", "huge"):
            for name in ("content-type", "content-encoding", "accept"):
                answer = await on_sqlite.a_caller_of(operation).request(
                    operation.method,
                    path_of(operation, on_sqlite.ids),
                    content=b"{}",
                    headers=[_header(name, HOSTILE[kind])],
                )
                assert answer.status_code < 500, (str(operation), name, kind, answer.text)


TWICE = {"register_server", "request_restore", "end_partner_link", "reject_payment"}


async def test_a_command_with_two_keys_is_done_under_one_of_them_or_not_at_all(house: Planted) -> None:
    operation = next(each for each in house.operations if each.name in TWICE)
    keys = [_header("idempotency-key", new_id().hex.encode()) for _ in range(2)]
    answers = [
        await house.a_caller_of(operation).post(
            path_of(operation, house.ids), json=sample_of(operation, house.ids), headers=keys
        )
        for _ in range(2)
    ]
    assert answers[0].status_code == answers[1].status_code < 500
    assert answers[0].content == answers[1].content or answers[0].status_code >= 400


def _header(name: str, value: bytes) -> tuple[bytes, bytes]:
    return name.encode(), value
