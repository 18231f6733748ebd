"""Contracts on a fresh database, once on SQLite and once on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.contracts import app, consumers, opening, schedule
from services.contracts.db.tables import metadata
from services.contracts.settings import ContractsSettings
from shared.kit.runtime import embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.contracts.stories.work import WorkStory
from tests.contracts.story import Story
from tests.support.databases import Beginnings, migrated
from tests.support.service import ServiceUnderTest, service_under_test

MIGRATIONS = Path(app.__file__).parent / "migrations"


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    with migrated("contracts", metadata, MIGRATIONS, tmp_path_factory.mktemp("contracts")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, begun: Beginnings, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return begun.on_sqlite(tmp_path / "contracts.db")
    return begun.on_postgresql(request.getfixturevalue("postgres_server"))


@pytest.fixture
async def service(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ServiceUnderTest]:
    """`monkeypatch` goes after it: what a test publishes is there until its decisions are replayed."""
    common = CommonSettings(data_dir=tmp_path, clock="virtual", log_level="error")
    settings = ContractsSettings(database_url=SecretStr(database_url))
    async with service_under_test(
        lambda: opening.open_runtime(common, settings=settings, authenticator=embedded_authenticator(common)),
        app.create_app,
        consumers.handlers,
        schedule.timers,
    ) as opened:
        yield opened


@pytest.fixture
def story(service: ServiceUnderTest) -> Story:
    return Story(service)


@pytest.fixture
def work(service: ServiceUnderTest) -> WorkStory:
    return WorkStory(service)
