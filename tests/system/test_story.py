"""The main job from signature to expiry, on every set-up, with everything killed along the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deploy.demo.client import Installation as Deployment
from deploy.demo.client import StepFailed
from deploy.demo.story import Story
from shared.events.registry import partner_topic
from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.postgres import PostgresServer
from tests.support.partner_topic import ids_on, reading
from tests.system import installation
from tests.system.installation import Installation

ROWS_BETWEEN_KILLS = 3
PATIENCE_SECONDS = 90.0


@pytest.fixture(params=["embedded", "postgres", "kafka"])
def set_up(request: pytest.FixtureRequest) -> str:
    """Which set-up the story is played on; asks for the servers that it needs, or skips."""
    name: str = request.param
    request.getfixturevalue("restic_binary")
    if name != "embedded":
        request.getfixturevalue("postgres_server")
    if name == "kafka":
        request.getfixturevalue("kafka_server")
    return name


@contextmanager
def running(request: pytest.FixtureRequest, set_up: str) -> Iterator[Installation]:
    if set_up == "embedded":
        with installation.embedded() as started:
            yield started
        return
    postgres: PostgresServer = request.getfixturevalue("postgres_server")
    kafka: KafkaServer | None = request.getfixturevalue("kafka_server") if set_up == "kafka" else None
    with installation.split(postgres, kafka=kafka, replicas=2, name=f"story_{set_up}") as started:
        yield started


async def test_the_story_holds_with_every_process_killed_once_and_two_replicas_of_each_worker(
    request: pytest.FixtureRequest, set_up: str
) -> None:
    with running(request, set_up) as company:
        victims = list(company.processes) * (4 if set_up == "embedded" else 1)
        story = await play(company, kills=victims)
        await expect_once_each(story)
        await expect_the_partner_topic_to_match(request, set_up, story)


async def play(company: Installation, *, kills: list[str]) -> Story:
    """Play to the end, killing one process after every few rows; the caller's patience spans the restarts."""
    waiting = list(kills)
    async with Deployment(company.url, patience=PATIENCE_SECONDS) as deployment:
        story = Story(deployment)
        count = 0
        try:
            async for _row in story.play():
                count += 1
                if waiting and count % ROWS_BETWEEN_KILLS == 0:
                    company.kill_and_restart(waiting.pop(0))
        except StepFailed as failed:
            pytest.fail(f"{failed}\n{company.logs()}")
        assert not waiting, f"the story was too short to kill {waiting}"
        await expect_no_parked_work(company)
    return story


async def expect_once_each(story: Story) -> None:
    """One ServiceExpiring per period, one invoice per period, one backup per slot and place: as the partner read it."""
    told: Counter[tuple[str, Any]] = Counter()
    for event in story.feed.events:
        kind, data = event["type"].split(".")[2], event["data"]
        if kind in {"service-expiring", "service-renewed", "renewal-requested", "invoice-issued", "service-expired"}:
            told[kind, data["period_index"]] += 1
        if kind == "backup-completed":
            told[kind, (data["place"], data["slot_at"])] += 1
    assert told["service-expiring", 1] == 1
    assert told["service-expiring", 2] == 1
    assert told["invoice-issued", 2] == 1
    assert told["service-expired", 2] == 1
    assert set(told.values()) == {1}


async def expect_no_parked_work(company: Installation) -> None:
    assert "parked" not in company.logs().lower()


async def expect_the_partner_topic_to_match(request: pytest.FixtureRequest, set_up: str, story: Story) -> None:
    """The partner's own topic carries the same events in the same order as its feed."""
    topic = partner_topic(story.partner.partner_id)
    expected = [event["id"] for event in story.feed.events]
    if set_up == "kafka":
        async with reading(request.getfixturevalue("kafka_server").bootstrap) as consumer:
            assert await ids_on(topic, consumer, count=len(expected)) == expected
