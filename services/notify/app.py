"""The notify service's HTTP edge."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from services.notify import consumers, gateways
from services.notify.api import contacts, feeds, notices, on_call, partners
from services.notify.domain.judgements import judgements
from services.notify.settings import NotifySettings
from shared.kit import decisions, runtime
from shared.kit.app import service_app
from shared.kit.auth import Authenticator
from shared.kit.bus.log import EventLog
from shared.kit.rulebook import Rulebook
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings


def open_runtime(
    common: CommonSettings,
    *,
    log: EventLog | None = None,
    authenticator: Authenticator | None = None,
    settings: NotifySettings | None = None,
) -> Runtime:
    own = settings or NotifySettings()
    return runtime.open_runtime(
        "notify",
        own,
        common,
        migrations=Path(__file__).parent / "migrations",
        rules=Rulebook(judgements),
        gateways=gateways.build(own),
        log=log,
        authenticator=authenticator,
    )


def create_app(runtime: Runtime) -> FastAPI:
    return service_app(
        runtime,
        title="Notify",
        description="Notices to customers with proof of their delivery, and the facts that linked partners may read.",
        routers=[
            contacts.router,
            notices.router,
            on_call.router,
            partners.router,
            partners.links,
            feeds.router,
            decisions.router(),
        ],
        handlers=consumers.handlers,
    )
