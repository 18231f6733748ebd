"""One HTTP server of the house: bound before anything opens, quiet, and gone within ten seconds of being told.

With a drain it first says for so long that it is not ready, and goes on answering.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, NoReturn

import uvicorn
import uvloop
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.connections import HouseConnection
from shared.kit.telemetry import SecurityHeaders, add_headers

FINISH_REQUESTS_SECONDS = 3
KEEP_ALIVE_SECONDS = 30
YOUNG_BEFORE_COLLECTION = 10_000


class PortTaken(Exception):
    """The address cannot be listened on."""


def bound_socket(host: str, port: int) -> socket.socket:
    """A bound socket; raises PortTaken in one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        # Binding alone lets a second process bind the same port; listening settles who has it.
        bound.listen(1024)
    except OSError as error:
        bound.close()
        raise PortTaken(f"Cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}.") from None
    return bound


def port_of(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port


class HouseServer(uvicorn.Server):
    """uvicorn that says when it is ready and when it was told to stop, and that may drain before it stops."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        trusted_proxies: str | None,
        drain_seconds: float,
        on_ready: Callable[[], None],
        on_stop: Callable[[], object],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                SecurityHeaders(app),
                loop="uvloop",
                http=HouseConnection,
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=trusted_proxies is not None,
                forwarded_allow_ips=trusted_proxies or "",
                timeout_graceful_shutdown=FINISH_REQUESTS_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
            )
        )
        self._drain_seconds = drain_seconds
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._told = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.should_exit:
            settle()
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Told in a signal handler: whoever waits on `on_stop` begins to stop while requests finish.
        self._on_stop()
        if self._told or not self._drain_seconds:
            super().handle_exit(sig, frame)
        self._told = True

    async def leave(self) -> None:
        """Drain, then have the server stop."""
        if self.config.loaded:
            leaving = self.config.loaded_app = Leaving(self.config.loaded_app)
            for connection in self.server_state.connections:
                if isinstance(connection, HouseConnection):
                    connection.answer_last(leaving)
        await asyncio.sleep(self._drain_seconds)
        self.should_exit = True


class Leaving:
    """A server's application once it was told to stop: not ready, and every answer the last of its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._not_ready = SecurityHeaders(JSONResponse({"status": "stopping"}, status_code=503))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def last(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(message, [(b"connection", b"close")])
            await send(message)

        asks = scope["type"] == "http" and scope["path"].endswith("/readyz")
        await (self._not_ready if asks else self._app)(scope, receive, last)


async def serve(
    app: ASGIApp,
    bound: socket.socket,
    *,
    stop: asyncio.Event,
    trusted_proxies: str | None,
    drain_seconds: float = 0,
    on_ready: Callable[[], None] = lambda: None,
) -> bool:
    """Serve on the bound socket until a signal or `stop`, and `drain_seconds` longer; False when it could not start.

    A second signal ends the drain.
    `trusted_proxies`: whose X-Forwarded-For is believed; the caller's address is kept with an acceptance.
    """
    loop = asyncio.get_running_loop()
    server = HouseServer(
        app,
        trusted_proxies=trusted_proxies,
        drain_seconds=drain_seconds,
        on_ready=on_ready,
        on_stop=lambda: loop.call_soon_threadsafe(stop.set),
    )

    async def leave_when_stopped() -> None:
        await stop.wait()
        await server.leave()

    leaving = asyncio.create_task(leave_when_stopped())
    try:
        await server.serve(sockets=[bound])
    finally:
        leaving.cancel()
        stop.set()
    return server.started


def run(main: Coroutine[Any, Any, int]) -> NoReturn:
    """Run a process of the house to its end; SIGINT and SIGTERM end it with 0 once it has stopped."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    raise SystemExit(uvloop.run(main))


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def settle() -> None:
    """What the start made stays to the end, so the collector need not look at it again, nor so often at the young.

    It took a seventh of the CPU under load before.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_BEFORE_COLLECTION, 20, 20)


def stop_on_signals(stop: asyncio.Event) -> None:
    """For processes without an HTTP server: SIGINT and SIGTERM set `stop`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
