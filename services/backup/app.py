"""The HTTP edge of backup."""

from __future__ import annotations

from fastapi import FastAPI

from services.backup import consumers
from services.backup.api import files, protections, remote_applications, restores, runs
from shared.kit import decisions
from shared.kit.app import service_app
from shared.kit.runtime import Runtime


def create_app(opened: Runtime) -> FastAPI:
    return service_app(
        opened,
        title="Backup",
        description="Keeps restorable copies of the servers of registered services (clauses 2.2 and 2.3).",
        routers=[
            files.router,
            protections.router,
            runs.router,
            restores.router,
            remote_applications.router,
            decisions.router(),
        ],
        handlers=consumers.handlers,
    )
