"""The demonstration's own machinery; the story itself is played by tests/system."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from rich.console import Console

from deploy.demo import papers
from deploy.demo.client import Installation, NothingThere, NoVirtualClock, Person, StepFailed
from deploy.demo.feed import Feed
from deploy.demo.rows import Row
from deploy.demo.timeline import RichTimeline
from shared.kit.auth import Role
from tests.infrastructure.process import free_port

PROBLEM = {"content-type": "application/problem+json"}


def installation(answer: Any, *, patience: float = 0.3) -> Installation:
    """One whose HTTP is played by `answer`."""
    one = Installation("http://somewhere", tokens={"customer": "t.e30.s"}, patience=patience)
    one.http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://somewhere")
    return one


async def customer(answer: Any, **options: Any) -> Person:
    return await installation(answer, **options).person("customer", Role.CUSTOMER)


def problem(status: int, code: str, clause: str | None = None) -> httpx.Response:
    body = {"status": status, "code": code, "title": "T", "detail": "D", "clause": clause}
    return httpx.Response(status, content=json.dumps(body), headers=PROBLEM)


async def test_a_part_that_is_away_for_a_moment_is_waited_for_with_the_same_key() -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        return [problem(503, "BackendAway"), problem(409, "StillRunning"), httpx.Response(200, json=1)][len(keys) - 1]

    person = await customer(answer, patience=5)
    assert await person.send("a step", "POST", "/x") == 1
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_refusal_must_be_exactly_the_expected_one() -> None:
    person = await customer(lambda _request: problem(422, "WrongCurrency", "3.2"))
    await person.refused("s", "POST", "/x", status=422, code="WrongCurrency", clause="3.2")
    for expected in (
        {"status": 409, "code": "WrongCurrency", "clause": "3.2"},
        {"status": 422, "code": "Other", "clause": "3.2"},
        {"status": 422, "code": "WrongCurrency", "clause": None},
    ):
        with pytest.raises(StepFailed):
            await person.refused("s", "POST", "/x", **expected)  # type: ignore[arg-type]


async def test_something_accepted_that_should_be_refused_is_found() -> None:
    person = await customer(lambda _request: httpx.Response(201, json={}))
    with pytest.raises(StepFailed, match="got 201"):
        await person.refused("s", "POST", "/x", status=422, code="C")


async def test_waiting_ends_and_says_what_was_last_seen() -> None:
    one = installation(lambda _request: httpx.Response(200))

    async def look() -> dict[str, str]:
        return {"status": "draft"}

    with pytest.raises(StepFailed, match="draft"):
        await one.until("a step", look, lambda seen: seen["status"] == "active", expected="an active contract")


async def test_nothing_at_the_address_is_said() -> None:
    async with Installation(f"http://127.0.0.1:{free_port()}", patience=0.2) as one:
        with pytest.raises(NothingThere):
            await one.clock()


async def test_a_system_clock_is_said_with_what_to_do() -> None:
    with pytest.raises(NoVirtualClock, match="MAINSTAY_CLOCK=virtual make run"):
        await installation(lambda _request: problem(404, "NoSuchPath")).clock()


def event(sequence: int, kind: str, customer_id: str, **data: Any) -> dict[str, Any]:
    return {
        "type": f"mainstay.{kind}.v1",
        "subject": "s",
        "sequence": str(sequence),
        "data": {"customer_id": customer_id, **data},
    }


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ([(1, "notify.partner-linked", {}), (3, "notify.partner-linked", {})], "expected sequence 2, got 3"),
        ([(1, "notify.partner-linked", {"email": "a@b"})], "with ['email']"),
        ([(1, "billing.never-heard-of", {})], "public facts only"),
    ],
    ids=["gap", "unredacted", "unknown"],
)
async def test_the_feed_is_checked_as_it_is_read(events: list[tuple[int, str, dict[str, Any]]], complaint: str) -> None:
    customer_id = uuid4()
    items = [event(sequence, kind, str(customer_id), **data) for sequence, kind, data in events]
    person = await customer(lambda _request: httpx.Response(200, json={"items": items, "next_cursor": "c"}))
    with pytest.raises(StepFailed, match=complaint.replace("[", r"\[").replace("]", r"\]")):
        await Feed(person, customer_id).read()


def test_the_timeline_says_the_day_once_and_marks_what_is_refused() -> None:
    said = io.StringIO()
    shown = RichTimeline(Console(file=said, width=110), None)
    noon = datetime(2030, 1, 31, 12, tzinfo=UTC)
    shown.show(Row(when=noon, who="Customer", what="renews", clause="3.3", event="RenewalRequested"))
    shown.show(
        Row(when=noon, who="Customer", what="pays in dollars", clause="3.2", event="WrongCurrency", refused=True)
    )
    lines = [line.rstrip() for line in said.getvalue().splitlines()]
    assert lines[1].startswith("2030-01-31 12:00 Customer     renews")
    assert lines[2].startswith("           12:00 Customer     ✗ pays in dollars")
    assert lines[2].endswith("3.2    WrongCurrency")


def test_the_papers_are_what_they_say() -> None:
    assert papers.PDF.startswith(b"%PDF-")
    assert papers.PDF[int(papers.PDF.split(b"startxref\n")[1].split()[0]) :].startswith(b"xref")
    assert len(papers.too_large()) == 5 * 1024 * 1024 + 1
