"""The service on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.backup import app
from services.backup.db.tables import metadata
from services.backup.gateways.fake_restic import FakeRestic
from services.backup.settings import BackupSettings
from tests.backup.world import World, a_world
from tests.support.databases import Beginnings, migrated

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
    async with a_world(tmp_path, settings) as opened:
        yield opened


@pytest.fixture
async def afar(tmp_path: Path, settings: BackupSettings) -> AsyncIterator[tuple[World, FakeRestic]]:
    """A world with a remote place, and what is there."""
    place = FakeRestic()
    async with a_world(tmp_path, settings, remote=place) as opened:
        yield opened, place
