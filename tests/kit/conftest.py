"""Each story runs on a fresh SQLite file and on an emptied PostgreSQL database."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.kit.db import Database
from tests.infrastructure.postgres import PostgresServer
from tests.kit.support import create_tables, fresh_postgres_database, metadata, running_parcels
from tests.support.databases import Beginnings, beginnings
from tests.support.service import ServiceUnderTest


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'kit.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield sqlite_url
        return
    with fresh_postgres_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    with beginnings("kit", metadata, create_tables, tmp_path_factory.mktemp("kit")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, begun: Beginnings, tmp_path: Path) -> str:
    """The URL of a database with the tables of the throw-away service."""
    if request.param == "sqlite":
        return begun.on_sqlite(tmp_path / "kit.db")
    return begun.on_postgresql(request.getfixturevalue("postgres_server"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the tables of the throw-away service."""
    found = Database(database_url)
    yield found
    await found.close()


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    """The throw-away service on either database."""
    async with running_parcels(database_url, tmp_path, clock="virtual") as running:
        yield running


@pytest.fixture
async def sqlite_service(begun: Beginnings, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    """The throw-away service where the database does not matter."""
    async with running_parcels(begun.on_sqlite(tmp_path / "kit.db"), tmp_path, clock="virtual") as running:
        yield running


@pytest.fixture
async def postgres_database(postgres_server: PostgresServer, begun: Beginnings) -> AsyncIterator[Database]:
    """For what only PostgreSQL can get into."""
    found = Database(begun.on_postgresql(postgres_server))
    yield found
    await found.close()
