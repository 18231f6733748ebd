"""The service on each database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from services.backup import app, consumers, schedule
from services.backup.gateways import FileStore, Gateways
from services.backup.gateways.fake_restic import FakeRestic
from services.backup.settings import BackupSettings
from shared.kit import migrations
from shared.kit.runtime import Runtime, embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.backup.world import World
from tests.infrastructure.postgres import PostgresServer
from tests.support.service import service_under_test


@pytest.fixture(scope="session")
async def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file to copy: migrating once is enough."""
    path = tmp_path_factory.mktemp("backup") / "backup.db"
    await _migrate(BackupSettings(database_url=SecretStr(f"sqlite:///{path}")), path.parent)
    return path


@pytest.fixture(scope="session")
async def migrated_template(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PostgreSQL database to copy."""
    name = f"backup_template_{uuid4().hex}"
    postgres_server.create_database(name)
    settings = BackupSettings(database_url=SecretStr(postgres_server.url_for(name)))
    await _migrate(settings, tmp_path_factory.mktemp("backup"))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BackupSettings]:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "backup.db")
        yield BackupSettings()
        return
    template: str = request.getfixturevalue("migrated_template")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"backup_{uuid4().hex}"
    server.create_database(name, template)
    yield BackupSettings(database_url=SecretStr(server.url_for(name)))
    server.drop_database(name)


async def _migrate(settings: BackupSettings, data_dir: Path) -> None:
    runtime = app.open_runtime(CommonSettings(data_dir=data_dir), settings=settings)
    await migrations.upgrade(runtime.database, runtime.migrations)
    await runtime.close()


@pytest.fixture
async def world(tmp_path: Path, settings: BackupSettings) -> AsyncIterator[World]:
    common = CommonSettings(data_dir=tmp_path, clock="virtual")
    restic = FakeRestic()
    gateways = Gateways(FileStore(tmp_path), restic)

    def open_runtime() -> Runtime:
        return app.open_runtime(
            common, authenticator=embedded_authenticator(common), settings=settings, gateways=gateways
        )

    async with service_under_test(open_runtime, app.create_app, consumers.handlers, schedule.timers) as service:
        yield World(service, restic, await service.now())
