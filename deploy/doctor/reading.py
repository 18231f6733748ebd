"""A database of ours, opened to be read once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.url import URL

from shared.kernel.errors import Unavailable
from shared.kit.database_trouble import LockedByAnother
from shared.kit.db import Database, Reader

NO_ANSWER = (Unavailable, LockedByAnother, sa.exc.DBAPIError)
"""What reading raises where the database is away or has other tables; that is said about the database itself."""


@asynccontextmanager
async def reading(url: URL | None) -> AsyncIterator[Reader | None]:
    """None where there is no such database yet: an SQLite file would be made by opening it. Raises NO_ANSWER."""
    if url is None or (url.get_backend_name() == "sqlite" and not _is_there(url.database)):
        yield None
        return
    database = Database(url.render_as_string(hide_password=False), pool_size=1, name="mainstay-doctor")
    try:
        async with database.reading() as reader:
            yield reader
    finally:
        await database.close()


def _is_there(path: str | None) -> bool:
    return path is not None and Path(path).exists()
