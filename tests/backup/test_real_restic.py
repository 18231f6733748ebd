"""The main job with the real program, on disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.backup import app, consumers, opening, schedule
from services.backup.gateways.fake_restic import FakeRestic
from services.backup.settings import BackupSettings
from shared.kit.runtime import Runtime, embedded_authenticator
from shared.kit.settings import CommonSettings
from tests.backup.world import RETENTION_DAYS, World
from tests.infrastructure.restic import ResticBinary
from tests.support.service import service_under_test


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_file_goes_in_comes_back_and_is_deleted_with_the_rest(
    tmp_path: Path, settings: BackupSettings, restic_binary: ResticBinary
) -> None:
    common = CommonSettings(data_dir=tmp_path, clock="virtual")

    def open_runtime() -> Runtime:
        return opening.open_runtime(common, authenticator=embedded_authenticator(common), settings=settings)

    async with service_under_test(open_runtime, app.create_app, consumers.handlers, schedule.timers) as service:
        world = World(service, FakeRestic(), await service.now())
        await world.begin(files=False)
        assert (await world.runs())[0]["reason"] == "nothing-to-back-up"
        await world.put_file()
        await service.run_due()
        (run,) = await world.runs()
        assert (run["status"], run["files"], run["bytes"]) == ("succeeded", 1, 12)
        restore = (await world.ask_restore()).json()
        await service.run_due()
        content = await world.customer.get(f"/v1/restores/{restore['id']}/content")
        assert content.content == b"colour=blue\n"
        repository = tmp_path / "repositories" / str(world.server_id) / run["protection_id"]
        assert (repository / "config").exists()
        await service.tell(world.service_expired(ended_at=world.now))
        await service.advance(by=timedelta(days=RETENTION_DAYS))
        assert (await world.protection())["data_deleted_at"] is not None
        assert not list(repository.parent.iterdir())


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_remote_place_has_backups_of_its_own(
    tmp_path: Path, settings: BackupSettings, restic_binary: ResticBinary
) -> None:
    common = CommonSettings(data_dir=tmp_path, clock="virtual")
    afar = settings.model_copy(update={"remote_repositories": SecretStr(str(tmp_path / "afar"))})

    def open_runtime() -> Runtime:
        return opening.open_runtime(common, authenticator=embedded_authenticator(common), settings=afar)

    async with service_under_test(open_runtime, app.create_app, consumers.handlers, schedule.timers) as service:
        world = World(service, FakeRestic(), await service.now())
        await world.begin()
        await world.remotely()
        remote = await world.protection_at("remote")
        assert remote is not None
        assert remote["last_success"] is not None
        repository = tmp_path / "afar" / str(world.server_id) / remote["id"]
        assert (repository / "config").exists()
        assert len(list((tmp_path / "repositories").glob("*/*/config"))) == 1
        restore = (await world.ask_restore(run_id=remote["last_success"]["run_id"])).json()
        await service.run_due()
        content = await world.customer.get(f"/v1/restores/{restore['id']}/content")
        assert content.content == b"colour=blue\n"
        await service.tell(world.service_expired(ended_at=world.now))
        await service.advance(by=timedelta(days=RETENTION_DAYS))
        assert not list(repository.parent.iterdir())
