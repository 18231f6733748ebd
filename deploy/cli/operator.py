"""Who gives a command, and the service that it is about, opened for as long as the command runs."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy import environment
from deploy.opening import insist_up_to_date, open_explained
from shared.kit.runtime import Runtime


def me() -> str:
    """As the audit trail names whoever runs this; a container's user may have no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid-{os.getuid()}"


@asynccontextmanager
async def opened(service: str) -> AsyncIterator[Runtime]:
    """Raises WrongSettings, and CannotOpen when its database is away or behind."""
    common = environment.read_common()
    settings = environment.read_service(service)
    runtime = open_explained(service, common, settings)
    try:
        await insist_up_to_date(runtime)
        yield runtime
    finally:
        await runtime.close()
