"""All four services and the log of an installation, opened for whoever moves it whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from deploy import environment
from deploy.opening import open_explained, opened_log
from deploy.services import SERVICES
from services.backup.settings import BackupSettings
from shared.kit.bus.log import EventLog
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings


@dataclass(frozen=True)
class Whole:
    """`repository_key`: where the operator keeps that key, when it is not in the data folder; `restic`: the program."""

    common: CommonSettings
    runtimes: Mapping[str, Runtime]
    log: EventLog
    repository_key: Path | None
    restic: str

    @property
    def data_dir(self) -> Path:
        return self.common.data_dir.absolute()


@asynccontextmanager
async def opened() -> AsyncIterator[Whole]:
    """By the settings of the environment; raises WrongSettings, CannotOpen."""
    common, settings = environment.read_common(), environment.read_all()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(opened_log(common))
        runtimes = {}
        for name in SERVICES:
            runtimes[name] = open_explained(name, common, settings[name])
            stack.push_async_callback(runtimes[name].close)
        own = cast(BackupSettings, settings["backup"])
        yield Whole(common, runtimes, log, own.key_file, own.restic)
