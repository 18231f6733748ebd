"""However often a command is sent, at once or after a lost answer, it has one effect and one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kernel.ids import new_id
from tests.contracts.story import Story
from tests.hostile.planted import opened
from tests.infrastructure.postgres import PostgresServer

AT_ONCE = 50


@pytest.fixture(params=["sqlite", "postgresql"])
async def story(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Story]:
    url = None
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        database = f"repeated_{new_id().hex}"
        server.create_database(database)
        url = server.url_for(database)
    async with opened("contracts", tmp_path, url) as service:
        yield Story(service)


async def test_fifty_identical_commands_at_once_have_one_effect_and_one_answer(story: Story) -> None:
    await story.registered_customer()
    await story.server()
    answers = await asyncio.gather(*(_draft(story, key="one") for _ in range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {201}, {answer.text for answer in answers}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await _contracts(story) == [answers[0].json()["id"]]
    assert (await story.names()).count("ContractDrafted") <= 1


async def test_fifty_acceptances_at_once_are_told_once(story: Story) -> None:
    await story.drafted()
    body = await story.offered()
    answers = await asyncio.gather(
        *(story.do("accept", body, headers={"idempotency-key": "one"}) for _ in range(AT_ONCE))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert (await story.names()).count("ContractAccepted") == 1


async def test_the_same_key_with_another_body_is_refused_also_at_once(story: Story) -> None:
    await story.registered_customer()
    await story.server()
    answers = await asyncio.gather(*(_draft(story, key="one", paper_bill=bool(n % 2)) for n in range(10)))
    codes = [answer.json().get("code") for answer in answers]
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [422] * 5
    assert codes.count("IdempotencyKeyReused") == 5
    assert len(await _contracts(story)) == 1


async def test_a_command_whose_answer_was_lost_is_answered_again_and_not_done_again(story: Story) -> None:
    """The commit is done; the process, or the line, ends before the answer has left."""
    await story.registered_customer()
    await story.server()
    with pytest.raises(ConnectionResetError):
        await _through(_LosesAnswers(story.service.app), story, key="lost")
    stored = await _contracts(story)
    assert len(stored) == 1
    again = await _draft(story, key="lost")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert [again.json()["id"]] == stored == await _contracts(story)


async def test_a_command_that_died_before_its_commit_left_nothing_and_is_done_by_its_repetition(story: Story) -> None:
    await story.registered_customer()
    await story.server()
    hooks = story.service.runtime.database.commit_hooks

    async def dies(_tx: Any) -> None:
        raise ConnectionResetError

    hooks.append(dies)
    assert (await _draft(story, key="died")).status_code >= 500
    hooks.remove(dies)
    assert await _contracts(story) == []
    again = await _draft(story, key="died")
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers


async def test_a_caller_who_hangs_up_in_the_middle_leaves_all_or_nothing(story: Story) -> None:
    """Cancelled at every step of the way, the repetition brings exactly one contract."""
    await story.registered_customer()
    await story.server()
    for steps in range(0, 60, 4):
        task = asyncio.create_task(_draft(story, key="hung-up"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    answer = await _draft(story, key="hung-up")
    assert answer.status_code == 201, answer.text
    assert await _contracts(story) == [answer.json()["id"]]


class _LosesAnswers:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def lose(_message: Message) -> None:
            raise ConnectionResetError

        await self._app(scope, receive, lose)


async def _through(app: ASGIApp, story: Story, *, key: str) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://service", headers=dict(story.http.headers)
    ) as client:
        return await client.post("/v1/contracts", json=story.draft_body(), headers={"idempotency-key": key})


async def _draft(story: Story, *, key: str, **changes: Any) -> httpx.Response:
    return await story.http.post("/v1/contracts", json=story.draft_body(**changes), headers={"idempotency-key": key})


async def _contracts(story: Story) -> list[str]:
    return [item["id"] for item in (await story.http.get("/v1/contracts")).json()["items"]]
