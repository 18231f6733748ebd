"""The service on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.backup import app, consumers, schedule
from services.backup.db.tables import metadata
from services.backup.gateways import FileStore, Gateways
from services.backup.gateways.fake_restic import FakeRestic
from services.backup.settings import BackupSettings
from shared.kit.runtime import Runtime, embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.backup.world import World
from tests.support.databases import Beginnings, migrated
from tests.support.service import service_under_test

MIGRATIONS = Path(app.__file__).parent / "migrations"


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    with migrated("backup", metadata, MIGRATIONS, tmp_path_factory.mktemp("backup")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, begun: Beginnings, tmp_path: Path) -> BackupSettings:
    if request.param == "sqlite":
        begun.on_sqlite(tmp_path / "backup.db")
        return BackupSettings()
    return BackupSettings(database_url=SecretStr(begun.on_postgresql(request.getfixturevalue("postgres_server"))))


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
