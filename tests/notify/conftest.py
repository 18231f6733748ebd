"""A notify service with a real database and a real mail server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.notify import consumers, schedule
from services.notify.app import create_app, open_runtime
from services.notify.settings import NotifySettings
from shared.kernel.ids import new_id
from shared.kit import migrations
from shared.kit.runtime import embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.smtp import SmtpPeer
from tests.infrastructure.waiting import run_apart
from tests.support.service import ServiceUnderTest, service_under_test


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database to copy: cheaper than migrating one per test."""
    name = f"notify_{new_id().hex}"
    postgres_server.create_database(name)

    async def migrate() -> None:
        settings = NotifySettings.model_validate({"database_url": postgres_server.url_for(name)})
        common = CommonSettings(data_dir=tmp_path_factory.mktemp("notify"))
        runtime = open_runtime(common, settings=settings, authenticator=embedded_authenticator(common))
        await migrations.upgrade(runtime.database, runtime.migrations)
        await runtime.close()

    run_apart(migrate())
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'notify.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"notify_{new_id().hex}"
    server.create_database(name, template=request.getfixturevalue("migrated_template"))
    yield server.url_for(name)
    server.drop_database(name)


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
