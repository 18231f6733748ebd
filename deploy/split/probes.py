"""A worker's own port, for probes and for Prometheus: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from deploy.connections import HouseConnection
from shared.kit.telemetry import SecurityHeaders
from shared.kit.worker import Worker

LONGEST_START_SECONDS = 600.0
"""While developing, a worker migrates before it works."""
LONGEST_STOP_SECONDS = 30.0
FINISH_REQUESTS_SECONDS = 1


class Probes:
    """What a worker says of itself: first that it starts, then how it works, at last that it stops."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._worker: Worker | None = None
        self._stop = asyncio.Event()
        self._stops_since: float | None = None

    def watch(self, worker: Worker, stop: asyncio.Event) -> None:
        """From now on speak of this worker, which `stop` ends."""
        self._worker, self._stop = worker, stop

    def troubles(self) -> list[str]:
        """Why this process should be ended and started again; empty while it is alive."""
        now = time.monotonic()
        if self._stop.is_set():
            self._stops_since = self._stops_since or now
            return ["it does not end"] if now - self._stops_since > LONGEST_STOP_SECONDS else []
        if self._worker is None:
            return ["it does not start"] if now - self._began > LONGEST_START_SECONDS else []
        return [f"{name} stands still" for name in self._worker.standing_still()]

    async def parts(self) -> dict[str, str]:
        """What it needs to work: `ok`, or the code of what is wrong."""
        if self._worker is None or self._stop.is_set():
            return {"worker": "starting" if self._worker is None else "stopping"}
        runtime = self._worker.runtime
        assert runtime.log is not None, "a worker has an event log"
        database, log = await asyncio.gather(runtime.database.state(), runtime.log.state())
        return {"worker": "ok", "database": database, "log": log}

    def app(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/livez", self._livez),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
            ]
        )

    async def _livez(self, _request: Request) -> Response:
        troubles = self.troubles()
        body = {"status": "unavailable", "reason": ", ".join(troubles)} if troubles else {"status": "ok"}
        return JSONResponse(body, status_code=503 if troubles else 200)

    async def _readyz(self, _request: Request) -> Response:
        parts = await self.parts()
        whole = all(state == "ok" for state in parts.values())
        body = {"status": "ok" if whole else "unavailable", "parts": parts}
        return JSONResponse(body, status_code=200 if whole else 503)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@asynccontextmanager
async def answering(app: ASGIApp, bound: socket.socket) -> AsyncIterator[None]:
    """Serve on the bound socket meanwhile, on this very loop: one that is stuck does not answer either."""
    server = _Server(
        uvicorn.Config(
            SecurityHeaders(app),
            http=HouseConnection,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=FINISH_REQUESTS_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Ends with what it serves for; signals are the worker's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
