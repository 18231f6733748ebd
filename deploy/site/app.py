"""The root application: pages, development sign-in, mailbox, health and metrics around whatever serves the APIs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.services import SERVICES
from deploy.site.issuer import issuer_routes
from deploy.site.mailbox import MailboxAt, mailbox_routes
from deploy.site.pages import asset_routes, page
from shared.kit import problems
from shared.kit.auth import Role
from shared.kit.runtime import development_issuer
from shared.kit.settings import CommonSettings
from shared.kit.version import VERSION

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Readiness = Callable[[], Awaitable[Mapping[str, str]]]
"""What each part says of itself: `ok`, or why it is not."""

ABOUT = {
    "contracts": "Customers, servers, the agreement and its versions, contracts and their periods.",
    "billing": "Invoices with gapless numbers, payments and their audit.",
    "backup": "Protected servers, proven backups, restores compared by hash.",
    "notify": "Notices in the customer's language with proof, partners and their feed.",
}
TOKEN_ROLES = [role for role in Role if role is not Role.SERVICE]


def site(
    common: CommonSettings,
    *,
    services: Mapping[str, ASGIApp],
    ready: Readiness,
    lifespan: Lifespan,
    mailbox: MailboxAt | None = None,
    landing: bool = True,
) -> FastAPI:
    """`services` serve below `/<name>`; `landing=False` leaves only references, health and metrics around them."""
    app = Site(
        services, title="Mainstay", version=VERSION, openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    problems.install(app)
    signs_in = landing and common.mode == "development" and common.oidc_issuer is None
    if landing:
        _add_landing(app, common, signs_in=signs_in, mailbox=mailbox)
    if signs_in:
        app.include_router(issuer_routes(development_issuer(common)))
    if mailbox is not None:
        app.include_router(mailbox_routes(mailbox))
    _add_health(app, ready)
    app.router.routes.extend(asset_routes())
    for name in services:
        _add_reference(app, name)
    return app


class Site(FastAPI):
    """Gives what lies below `/<service>` straight to that service; only the pages about it are the site's own."""

    def __init__(self, services: Mapping[str, ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name, _, below = scope["path"][1:].partition("/")
            service = self._services.get(name)
            if service is not None and below not in {"", "docs"}:
                scope["root_path"] = f"{scope.get('root_path', '')}/{name}"
                await service(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def _add_landing(app: FastAPI, common: CommonSettings, *, signs_in: bool, mailbox: MailboxAt | None) -> None:
    async def landing(_request: Request) -> Response:
        return page(
            "landing.html",
            version=VERSION,
            services=[(name, ABOUT[name]) for name in SERVICES],
            roles=[role.value for role in TOKEN_ROLES] if signs_in else [],
            base_url=common.base_url,
            clock=common.clock,
            mode=common.mode,
            event_log=common.event_log,
            mailbox=mailbox is not None,
        )

    async def events(_request: Request) -> Response:
        return page("events.html")

    async def asyncapi_json(_request: Request) -> Response:
        return Response(_asyncapi_as("json"), media_type="application/json")

    async def asyncapi_yaml(_request: Request) -> Response:
        return Response(_asyncapi_as("yaml"), media_type="application/yaml")

    app.add_route("/", landing)
    app.add_route("/asyncapi", events)
    app.add_route("/docs/asyncapi.json", asyncapi_json)
    app.add_route("/docs/asyncapi.yaml", asyncapi_yaml)


@lru_cache(maxsize=2)
def _asyncapi_as(form: str) -> str:
    # Made on first use: a start does not wait for it.
    import json

    from deploy.docs import yaml
    from deploy.docs.asyncapi import asyncapi

    document = asyncapi(VERSION)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n" if form == "json" else yaml.dump(document)


def _add_reference(app: FastAPI, name: str) -> None:
    """The service's API reference, in place of FastAPI's page, which loads its script from the internet."""

    async def reference(_request: Request) -> Response:
        return page("reference.html", service=name, services=list(SERVICES))

    async def to_reference(_request: Request) -> Response:
        return RedirectResponse(f"/{name}/docs")

    app.add_route(f"/{name}/docs", reference)
    app.add_route(f"/{name}", to_reference)
    app.add_route(f"/{name}/", to_reference)


def _add_health(app: FastAPI, ready: Readiness) -> None:
    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        parts = dict(await ready())
        whole = all(state == "ok" for state in parts.values())
        body = {"status": "ok" if whole else "unavailable", "parts": parts}
        return JSONResponse(body, status_code=200 if whole else 503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    app.add_route("/livez", livez)
    app.add_route("/readyz", readyz)
    app.add_route("/metrics", metrics)
