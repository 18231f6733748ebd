"""The customer of the stories about the end of a period, and the services that carry a contract out."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.backup import app as backup_app
from services.backup.db import tables as backup_tables
from services.backup.gateways.fake_restic import FakeRestic
from services.backup.settings import BackupSettings
from services.billing import app as billing_app
from services.billing.db import tables as billing_tables
from tests.backup.world import World, a_world
from tests.billing.story import Story as BillingStory
from tests.billing.story import billing_under_test
from tests.contracts.stories.lifecycle import LifecycleStory
from tests.support.databases import Beginnings, migrated
from tests.support.service import ServiceUnderTest


@pytest.fixture
def lifecycle(service: ServiceUnderTest) -> LifecycleStory:
    return LifecycleStory(service)


@pytest.fixture(scope="session")
def backup_begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    migrations = Path(backup_app.__file__).parent / "migrations"
    with migrated("backup", backup_tables.metadata, migrations, tmp_path_factory.mktemp("backup")) as found:
        yield found


@pytest.fixture
def remote_place() -> FakeRestic:
    return FakeRestic()


@pytest.fixture
async def backup(backup_begun: Beginnings, tmp_path: Path, remote_place: FakeRestic) -> AsyncIterator[World]:
    """The backup service, which hears what the story tells it, with a remote place."""
    settings = BackupSettings(database_url=SecretStr(backup_begun.on_sqlite(tmp_path / "backup.db")))
    async with a_world(tmp_path / "backup", settings, remote=remote_place) as opened:
        yield opened


@pytest.fixture(scope="session")
def billing_begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    migrations = Path(billing_app.__file__).parent / "migrations"
    with migrated("billing", billing_tables.metadata, migrations, tmp_path_factory.mktemp("billing")) as found:
        yield found


@pytest.fixture
async def billing(billing_begun: Beginnings, tmp_path: Path) -> AsyncIterator[BillingStory]:
    """The billing service, which hears what the story tells it."""
    database_url = billing_begun.on_sqlite(tmp_path / "billing.db")
    async with billing_under_test(tmp_path / "billing", database_url) as opened:
        yield BillingStory(opened)
