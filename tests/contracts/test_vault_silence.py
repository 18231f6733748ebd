"""Secrets are in no table, log, metric, event, audit row, decision, answer or error but the one that reveals them."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from prometheus_client import generate_latest

from services.contracts.api.secrets import KeepSecret
from services.contracts.db.tables import metadata
from services.contracts.domain.secret import Secret
from services.contracts.use_cases.secrets import Revealed
from shared.kernel.ids import new_id
from shared.kit import migrations, telemetry, tracebacks
from shared.kit.settings import CommonSettings
from tests.contracts.stories.vault import VaultStory
from tests.infrastructure import canaries
from tests.infrastructure.transit import TOKEN
from tests.support.service import ServiceUnderTest

KIND = "a secret of a server"


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> str:
    """The value of this test, among what nothing may tell."""
    value = f"canary in the vault {new_id().hex}"
    forms = {value, base64.b64encode(value.encode()).decode(), value.encode().hex()}
    monkeypatch.setitem(canaries.PLANTED, KIND, forms)
    return value


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What a process would write to its log meanwhile."""
    before, lines = structlog.get_config(), io.StringIO()
    telemetry.configure_logging(CommonSettings(log_level="debug"), lines)
    structlog.configure(cache_logger_on_first_use=False)
    handler = logging.StreamHandler(lines)
    handler.setFormatter(tracebacks.Formatter())
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)
    structlog.configure(**before)
    telemetry._write_request = None


async def dump(service: ServiceUnderTest) -> bytes:
    """Every row of every table, as whoever has the database reads it."""
    found: list[str] = []
    async with service.runtime.database.reading() as reader:
        for table in migrations.merged(metadata).sorted_tables:
            for row in await reader.rows(sa.select(table)):
                values = [bytes(each) if isinstance(each, memoryview) else each for each in row]
                found.append(f"{table.name} {values!r}")
    return "\n".join(found).encode()


async def test_a_secret_is_told_by_its_reveal_and_by_nothing_else(
    service: ServiceUnderTest, logged: io.StringIO, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = VaultStory(service)
    await story.active()
    answers = [await story.keep(value=canary)]
    story.secret = answers[0].json()["id"]
    answers.append(await story.keep(value=canary))  # the name is taken
    answers.append(await story.keep(value=canary, kind="nothing", name=canary))
    answers.append(await story.on_secret("replace", {"value": canary, "replaces": 1}))
    answers.append(await story.on_secret("replace", {"value": canary, "replaces": 1}))  # a version before
    await story.in_progress()
    revealed = await story.reveal(headers={"idempotency-key": "idempotency-of-a-test-once"})
    assert revealed.json()["value"] == canary
    answers.append(await story.reveal(headers={"idempotency-key": "idempotency-of-a-test-once"}))
    answers.append(await story.reveal(by=story.tom))
    answers.append(await story.report())
    answers.append(await story.http.get(f"/v1/servers/{story.server_ids[0]}/secrets"))
    answers.append(await story.http.get("/v1/decisions"))
    with monkeypatch.context() as broken:

        async def fails(_tx: Any, statement: Any, parameters: Any = None) -> Any:
            raise ValueError(f"{statement} {parameters}", canary)

        broken.setattr("shared.kit.db.Reader.execute", fails)
        answers.append(await story.keep(value=canary, name="other"))
        answers.append(await story.reveal())
    assert {answer.status_code for answer in answers} == {200, 201, 403, 409, 422, 500}
    for answer in answers:
        canaries.insist_on_silence(f"{answer.request.url.path} {answer.status_code}", answer.content)
    # Customers' names are there on purpose.
    assert KIND not in canaries.kinds_in(await dump(service))
    canaries.insist_on_silence("the log", logged.getvalue().encode())
    canaries.insist_on_silence("metrics", generate_latest())
    facts = repr([fact.model_dump(mode="json") for fact in await story.told()])
    assert "secret_id" in facts
    canaries.insist_on_silence("events", facts.encode())


async def test_the_search_finds_what_would_be_there(service: ServiceUnderTest, canary: str) -> None:
    """A name is no secret, and shows that the dump holds all columns."""
    story = VaultStory(service)
    await story.active()
    await story.kept(name=canary)
    assert KIND in canaries.kinds_in(await dump(service))


def test_what_holds_a_secret_does_not_show_it_when_it_is_printed() -> None:
    body = KeepSecret.model_validate({"name": "root", "kind": "password", "value": TOKEN, "channel": "portal"})
    assert TOKEN not in repr(body) + str(body)
    secret: Any = Secret
    assert TOKEN not in repr(Revealed(secret, TOKEN))
