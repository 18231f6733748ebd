"""How many connections are in use, as operators see it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prometheus_client import REGISTRY
from pydantic import SecretStr

from shared.kit.db import Database
from shared.kit.runtime import open_runtime
from shared.kit.settings import CommonSettings, ServiceSettings
from tests.infrastructure.waiting import eventually


def shown(what: str) -> float | None:
    return REGISTRY.get_sample_value(f"mainstay_database_connections_{what}", {"service": "watched"})


async def test_connections_are_shown_while_the_service_runs(postgres_database: Database, tmp_path: Path) -> None:
    settings = ServiceSettings(database_url=SecretStr(postgres_database.url.render_as_string(hide_password=False)))
    common = CommonSettings(data_dir=tmp_path, pool_size=2)
    runtime = open_runtime("watched", settings, common, migrations=tmp_path)
    database = runtime.database

    async def read() -> None:
        async with database.reading():
            pass

    async with database.reading(), database.reading():
        third = asyncio.create_task(read())

        async def waits() -> bool:
            return shown("awaited") == 1

        await eventually(waits)
        assert (shown("in_use"), shown("limit")) == (2, 2)
    await third
    assert (shown("in_use"), shown("awaited")) == (0, 0)
    await runtime.close()
    assert shown("in_use") is shown("limit") is shown("awaited") is None
