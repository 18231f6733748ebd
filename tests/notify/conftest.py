"""A notify service with a real database and a real mail server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.notify import app, consumers, schedule
from services.notify.app import create_app
from services.notify.db.tables import metadata
from services.notify.opening import open_runtime
from services.notify.settings import NotifySettings
from shared.kit.runtime import embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.infrastructure.smtp import SmtpPeer
from tests.support.databases import Beginnings, migrated
from tests.support.service import ServiceUnderTest, service_under_test

MIGRATIONS = Path(app.__file__).parent / "migrations"


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginnings]:
    with migrated("notify", metadata, MIGRATIONS, tmp_path_factory.mktemp("notify")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, begun: Beginnings, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return begun.on_sqlite(tmp_path / "notify.db")
    return begun.on_postgresql(request.getfixturevalue("postgres_server"))


@pytest.fixture
async def notify(database_url: str, tmp_path: Path, smtp_peer: SmtpPeer) -> AsyncIterator[ServiceUnderTest]:
    common = CommonSettings(data_dir=tmp_path, clock="virtual")
    settings = NotifySettings.model_validate(
        {"database_url": database_url, "smtp_host": smtp_peer.host, "smtp_port": smtp_peer.port}
    )
    async with service_under_test(
        lambda: open_runtime(common, settings=settings, authenticator=embedded_authenticator(common)),
        create_app,
        consumers.handlers,
        schedule.timers,
    ) as service:
        yield service
