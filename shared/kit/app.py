"""One call gives a service its HTTP edge with every default of the house."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.kit import clock_api, parked_api, problems
from shared.kit.bus.handlers import Handlers
from shared.kit.edge import ServiceApp
from shared.kit.rate_limits import RateLimits
from shared.kit.routing import BodiesHeld, HouseRouter
from shared.kit.runtime import Runtime
from shared.kit.version import VERSION

BUILD = Gauge("mainstay_build_info", "1 for the version that runs", ["version", "python"])
BUILD.labels(VERSION, platform.python_version()).set(1)


def service_app(
    runtime: Runtime, *, title: str, description: str, routers: Iterable[HouseRouter], handlers: Handlers
) -> ServiceApp:
    """The service's application, to be mounted at `/<service>` (it names that prefix in its OpenAPI).

    `handlers` are its consumer's: an administrator may have a skipped event applied after all.
    """

    app = ServiceApp(
        runtime,
        title=f"Mainstay {title}",
        description=description,
        version=VERSION,
        docs_url="/docs",
        redoc_url=None,
        servers=[{"url": f"/{runtime.name}"}],
        root_path_in_servers=False,
    )
    app.state.rate_limits = RateLimits(runtime.common.rate_limit_per_second, runtime.common.rate_limit_burst)
    app.state.bodies_held = BodiesHeld()
    problems.install(app)
    for router in (*routers, parked_api.router(handlers)):
        app.include_router(router)
    if runtime.common.clock == "virtual":
        app.include_router(clock_api.router())
    _add_health(app, runtime)
    _complete_openapi(app)
    return app


def _add_health(app: FastAPI, runtime: Runtime) -> None:
    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        state = await runtime.database.state()
        if state != "ok":
            return JSONResponse({"status": "unavailable", "reason": state}, status_code=503)
        return JSONResponse({"status": "ok"})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    app.add_route("/livez", livez, include_in_schema=False)
    app.add_route("/readyz", readyz, include_in_schema=False)
    app.add_route("/metrics", metrics, include_in_schema=False)


def _complete_openapi(app: FastAPI) -> None:
    """Add what routes refer to: the problem schema and the bearer scheme; drop FastAPI's own error schemas."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            components = document.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs", {}))
            schemas["Problem"] = problem
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            components["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            }
            components["schemas"] = dict(sorted(schemas.items()))
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
