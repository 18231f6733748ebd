"""Billing on a fresh database, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.billing import app, consumers, schedule
from services.billing.settings import BillingSettings
from shared.kernel.ids import new_id
from shared.kit import migrations
from shared.kit.db import Database
from shared.kit.runtime import embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.billing.story import Story
from tests.support.service import ServiceUnderTest, service_under_test

MIGRATIONS = Path(app.__file__).parent / "migrations"


@pytest.fixture(scope="session")
async def migrated_postgres(postgres_server: Any) -> str:
    """A migrated database to copy: much faster than migrating one per test."""
    name = f"billing_template_{new_id().hex}"
    postgres_server.create_database(name)
    database = Database(postgres_server.url_for(name))
    await migrations.upgrade(database, MIGRATIONS)
    await database.close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'billing.db'}"
    template = request.getfixturevalue("migrated_postgres")
    server: Any = request.getfixturevalue("postgres_server")
    name = f"billing_{new_id().hex}"
    server.create_database(name, template)
    url: str = server.url_for(name)
    return url


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    common = CommonSettings(data_dir=tmp_path, clock="virtual", log_level="error")
    settings = BillingSettings(database_url=SecretStr(database_url))
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
