"""Each story runs on a fresh SQLite file and on a fresh PostgreSQL database."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.kit.db import Database
from tests.infrastructure.postgres import PostgresServer
from tests.kit.support import create_tables, fresh_postgres_database, running_parcels
from tests.support.service import ServiceUnderTest


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'kit.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    with fresh_postgres_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the tables of the throw-away service."""
    found = Database(database_url)
    await create_tables(found)
    yield found
    await found.close()


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    """The throw-away service on either database."""
    async with running_parcels(database_url, tmp_path, clock="virtual") as running:
        yield running


@pytest.fixture
async def sqlite_service(sqlite_url: str, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    """The throw-away service where the database does not matter."""
    async with running_parcels(sqlite_url, tmp_path, clock="virtual") as running:
        yield running


@pytest.fixture
async def postgres_database(postgres_server: PostgresServer) -> AsyncIterator[Database]:
    """For what only PostgreSQL can get into."""
    with fresh_postgres_database(postgres_server) as url:
        found = Database(url)
        await create_tables(found)
        yield found
        await found.close()
