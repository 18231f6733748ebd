"""The HTTP edge of notify."""

from __future__ import annotations

from fastapi import FastAPI

from services.notify import consumers
from services.notify.api import contacts, feeds, notices, on_call, partners
from shared.kit import decisions
from shared.kit.app import service_app
from shared.kit.runtime import Runtime


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
