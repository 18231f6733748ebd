"""Healthy installations for tests to break, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest

from deploy import environment
from deploy.doctor import examining, kafka
from deploy.doctor.examining import examine
from deploy.doctor.finding import Finding, Severity
from deploy.opening import ensure_topics, migrate, opened_log
from deploy.services import SERVICES, open_service
from shared.kernel.ids import new_id
from tests.deploy.conftest import Given
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.restic import ResticBinary
from tests.infrastructure.waiting import run_apart


async def ill(*names: str) -> list[Finding]:
    """What the doctor finds of these services (all) that is not well."""
    return [finding for finding in await examine(names or SERVICES) if finding.severity is not Severity.OK]


async def the_one(*names: str) -> Finding:
    """The only thing that is not well."""
    found = await ill(*names)
    assert len(found) == 1, found
    return found[0]


async def prepare() -> None:
    """Migrate what the environment names, and make its topics."""
    common = environment.read_common()
    for name, settings in environment.read_all().items():
        runtime = open_service(name, common, settings=settings)
        try:
            await migrate(runtime)
        finally:
            await runtime.close()
    async with opened_log(common) as log:
        await ensure_topics(log)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is busy with other tests a check may take longer than an operator would wait."""
    monkeypatch.setattr(examining, "CHECK_SECONDS", 60.0)
    monkeypatch.setattr(kafka, "START_SECONDS", 10.0)
    monkeypatch.setattr(kafka, "OFFSETS_SECONDS", 20.0)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "data"
    with patch.dict("os.environ", {"MAINSTAY_DATA_DIR": str(folder)}):
        run_apart(prepare())
    return folder


@pytest.fixture
def on_sqlite(made_once: Path, tmp_path: Path, given: Given, restic_binary: ResticBinary) -> Path:
    """The data folder of a healthy embedded installation."""
    folder = tmp_path / "data"
    shutil.copytree(made_once, folder)
    given(data_dir=str(folder))
    return folder


@dataclass(frozen=True)
class Databases:
    """A server with a database per service and one for the log, all healthy."""

    server: PostgresServer
    prefix: str

    def name(self, part: str) -> str:
        return f"{self.prefix}_{part}"

    def url(self, part: str, **changes: str) -> str:
        """With another `user`, `password`, `port` or `database`."""
        parts = urlsplit(self.server.url_for(changes.get("database", self.name(part))))
        user, password = changes.get("user", parts.username), changes.get("password", parts.password)
        return f"postgresql://{user}:{password}@127.0.0.1:{changes.get('port', parts.port)}{parts.path}"

    def copied(self, part: str) -> str:
        """The name of a copy for one test to break."""
        name = f"{self.prefix}_{new_id().hex[-12:]}"
        self.server.create_database(name, template=self.name(part))
        return name


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    made = Databases(postgres_server, f"doctor_{new_id().hex[-8:]}")
    for part in (*SERVICES, "log"):
        postgres_server.create_database(made.name(part))
    variables = {f"MAINSTAY_{name}": value for name, value in _variables(made).items()}
    with patch.dict("os.environ", variables | {"MAINSTAY_DATA_DIR": str(tmp_path_factory.mktemp("doctor"))}):
        run_apart(prepare())
    return made


@pytest.fixture
def on_postgresql(databases: Databases, tmp_path: Path, given: Given, restic_binary: ResticBinary) -> Databases:
    given(data_dir=str(tmp_path), **_variables(databases))
    return databases


def _variables(databases: Databases) -> dict[str, str]:
    urls = {f"{name.upper()}_DATABASE_URL": databases.url(name) for name in SERVICES}
    return urls | {"EVENT_LOG_URL": databases.url("log")}
