"""Every service with one customer's things, on SQLite and on PostgreSQL, for the whole run."""

from collections.abc import AsyncIterator

import pytest

from shared.kernel.ids import new_id
from tests.hostile.planted import Planted, planted
from tests.infrastructure.postgres import PostgresServer
from tests.structure.house import SERVICES


@pytest.fixture(scope="session", params=SERVICES)
async def on_sqlite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Planted]:
    """Where the database does not matter."""
    async with planted(request.param, tmp_path_factory.mktemp(request.param), None) as opened:
        yield opened


@pytest.fixture(
    scope="session",
    params=[(name, database) for name in SERVICES for database in ("sqlite", "postgresql")],
    ids="-".join,
)
async def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Planted]:
    name, database = request.param
    url = None
    if database == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        database = f"hostile_{name}_{new_id().hex}"
        server.create_database(database)
        url = server.url_for(database)
    async with planted(name, tmp_path_factory.mktemp(f"{name}-{database}"), url) as opened:
        yield opened
