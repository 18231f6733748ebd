"""Billing on a fresh database, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.billing import app
from services.billing.db.tables import metadata
from tests.billing.story import Story, billing_under_test
from tests.support.databases import Beginnings, migrated
from tests.support.service import ServiceUnderTest

MIGRATIONS = Path(app.__file__).parent / "migrations"


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    with migrated("billing", metadata, MIGRATIONS, tmp_path_factory.mktemp("billing")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, begun: Beginnings, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return begun.on_sqlite(tmp_path / "billing.db")
    return begun.on_postgresql(request.getfixturevalue("postgres_server"))


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with billing_under_test(tmp_path, database_url) as opened:
        yield opened


@pytest.fixture
def story(service: ServiceUnderTest) -> Story:
    return Story(service)
