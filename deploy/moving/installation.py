"""All four services and the log of an installation, opened for whoever moves it whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from deploy import environment
from deploy.moving.folders import Folders
from deploy.opening import open_explained, opened_log
from deploy.services import SERVICES
from services.backup.settings import BackupSettings
from services.contracts.settings import ContractsSettings
from shared.kernel.errors import Conflict
from shared.kit import migrations, presence
from shared.kit.bus.log import EventLog
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings


class ProcessesRun(Conflict):
    """Nothing of an installation runs while it is exported or restored."""


@dataclass(frozen=True)
class Whole:
    """`keys_elsewhere`: where the operator keeps a master key that is not in a data folder; `restic`: the program."""

    common: CommonSettings
    folders: Folders
    runtimes: Mapping[str, Runtime]
    log: EventLog
    keys_elsewhere: Mapping[str, Path]
    restic: str


@asynccontextmanager
async def opened(folders: Folders) -> AsyncIterator[Whole]:
    """By the settings of the environment; raises WrongSettings, CannotOpen."""
    common, settings = environment.read_common(), environment.read_all()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(opened_log(common))
        runtimes = {}
        for name in SERVICES:
            of_service = common.model_copy(update={"data_dir": folders.of(name)})
            runtimes[name] = open_explained(name, of_service, settings[name])
            stack.push_async_callback(runtimes[name].close)
        backup, contracts = cast(BackupSettings, settings["backup"]), cast(ContractsSettings, settings["contracts"])
        named = {"backup.key": backup.key_file, "vault.key": contracts.vault_key_file}
        elsewhere = {name: file for name, file in named.items() if file is not None}
        yield Whole(common, folders, runtimes, log, elsewhere, backup.restic)


async def insist_on_nobody(runtime: Runtime) -> None:
    """Raises ProcessesRun."""
    if await migrations.current(runtime.database) is None:
        return
    async with runtime.database.reading() as reader:
        there = await presence.running(reader)
    if there:
        raise ProcessesRun(
            f"Processes of {runtime.name} still run: {', '.join(map(str, there))}. Stop them; one that was killed "
            f"counts as gone {presence.GONE_AFTER_SECONDS:.0f} s after its last sign."
        )
