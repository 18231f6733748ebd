"""Contracts on a fresh database, once on SQLite and once on PostgreSQL."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.engine import Connection

from services.contracts import app, consumers, schedule
from services.contracts.db.tables import metadata
from services.contracts.settings import ContractsSettings
from shared.kernel.ids import new_id
from shared.kit import migrations
from shared.kit.db import Database
from shared.kit.runtime import embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.contracts.stories.work import WorkStory
from tests.contracts.story import Story
from tests.infrastructure.postgres import PostgresServer
from tests.support.service import ServiceUnderTest, service_under_test

MIGRATIONS = Path(app.__file__).parent / "migrations"


@pytest.fixture(scope="session")
async def migrated_postgres(postgres_server: PostgresServer) -> AsyncIterator[Database]:
    """One database for the whole run: emptying it is much faster than making another."""
    name = f"contracts_{new_id().hex}"
    postgres_server.create_database(name)
    database = Database(postgres_server.url_for(name))
    await migrations.upgrade(database, MIGRATIONS)
    yield database
    await database.close()
    postgres_server.drop_database(name)


@pytest.fixture
async def empty_postgres(migrated_postgres: Database) -> Database:
    await migrated_postgres.run_sync(_empty)
    return migrated_postgres


@pytest.fixture(scope="session")
async def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    file = tmp_path_factory.mktemp("contracts") / "contracts.db"
    database = Database(f"sqlite:///{file}")
    await migrations.upgrade(database, MIGRATIONS)
    await database.close()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        file = shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "contracts.db")
        return f"sqlite:///{file}"
    database: Database = request.getfixturevalue("empty_postgres")
    return database.url.render_as_string(hide_password=False)


@pytest.fixture
async def service(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ServiceUnderTest]:
    """`monkeypatch` goes after it: what a test publishes is there until its decisions are replayed."""
    common = CommonSettings(data_dir=tmp_path, clock="virtual", log_level="error")
    settings = ContractsSettings(database_url=SecretStr(database_url))
    async with service_under_test(
        lambda: app.open_runtime(common, settings=settings, authenticator=embedded_authenticator(common)),
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


def _empty(connection: Connection) -> None:
    for table in reversed(migrations.merged(metadata).sorted_tables):
        connection.execute(sa.delete(table))
