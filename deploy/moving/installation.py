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
from shared.kernel.errors import Conflict
from shared.kit import migrations, presence
from shared.kit.bus.log import EventLog
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings


class ProcessesRun(Conflict):
    """Nothing of an installation runs while it is exported or restored."""


@dataclass(frozen=True)
class Whole:
    """`repository_key`: where the operator keeps that key, when it is not in a data folder; `restic`: the program."""

    common: CommonSettings
    folders: Folders
    runtimes: Mapping[str, Runtime]
    log: EventLog
    repository_key: Path | None
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
        own = cast(BackupSettings, settings["backup"])
        yield Whole(common, folders, runtimes, log, own.key_file, own.restic)


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
