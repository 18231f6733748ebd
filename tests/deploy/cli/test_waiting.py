"""`mainstay wait` holds back what comes after it until the database is up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy import environment
from deploy.cli import waiting
from deploy.cli.waiting import _wait
from deploy.opening import CannotOpen, migrate
from deploy.services import open_service
from shared.kit.database_trouble import DatabaseAway
from shared.kit.runtime import Runtime
from tests.infrastructure.waiting import eventually


async def test_it_waits_for_migrations_and_ends_when_somebody_has_applied_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    with pytest.raises(CannotOpen, match="migrate contracts"):
        await _wait("contracts", 0)
    held = asyncio.create_task(_wait("contracts", 60))

    async def said() -> bool:
        return "migrate contracts" in capsys.readouterr().out

    await eventually(said, what="the reason of the wait")
    runtime = open_service("contracts", environment.read_common())
    await migrate(runtime)
    await held
    await runtime.close()


async def test_it_waits_for_a_database_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAINSTAY_BILLING_DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:9/nowhere")
    with pytest.raises(CannotOpen, match="does not answer"):
        await _wait("billing", 0)


async def test_wrong_settings_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAINSTAY_BILLING_DATABASE_URL", "no database")
    with pytest.raises(environment.WrongSettings):
        await _wait("billing", 60)


async def test_a_database_that_goes_away_meanwhile_is_waited_for_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_runtime: Runtime) -> None:
        raise DatabaseAway()

    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(waiting, "insist_up_to_date", gone)
    with pytest.raises(CannotOpen, match="contracts does not answer"):
        await waiting._wait("contracts", 0)
