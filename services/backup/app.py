"""The backup service's runtime and HTTP application."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from services.backup import consumers
from services.backup import gateways as real_gateways
from services.backup.api import files, protections, remote_applications, restores, runs
from services.backup.domain.judgements import judgements
from services.backup.gateways import Gateways
from services.backup.settings import BackupSettings
from shared.kit import decisions, runtime
from shared.kit.app import service_app
from shared.kit.auth import Authenticator
from shared.kit.bus.log import EventLog
from shared.kit.rulebook import Rulebook
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings

NAME = "backup"
DESCRIPTION = "Keeps restorable copies of the servers of registered services (clauses 2.2 and 2.3)."


def open_runtime(
    common: CommonSettings,
    *,
    log: EventLog | None = None,
    authenticator: Authenticator | None = None,
    settings: BackupSettings | None = None,
    gateways: Gateways | None = None,
) -> Runtime:
    """The service's database and third parties; `gateways` only to put others in their place."""
    own = settings or BackupSettings()
    return runtime.open_runtime(
        NAME,
        own,
        common,
        migrations=Path(__file__).parent / "migrations",
        rules=Rulebook(judgements),
        gateways=gateways or real_gateways.build(own, common),
        log=log,
        authenticator=authenticator,
    )


def create_app(opened: Runtime) -> FastAPI:
    return service_app(
        opened,
        title=NAME,
        description=DESCRIPTION,
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
