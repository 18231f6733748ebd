"""One HTTP server of the house: bound before anything opens, quiet, and gone within ten seconds of being told."""

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
from starlette.types import ASGIApp

from deploy.connections import HouseConnection
from shared.kit.telemetry import SecurityHeaders

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
    """uvicorn that says when it is ready and when it was told to stop."""

    def __init__(
        self, app: ASGIApp, *, trusted_proxies: str | None, on_ready: Callable[[], None], on_stop: Callable[[], object]
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
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.should_exit:
            settle()
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Told in a signal handler: whoever waits on `on_stop` begins to stop while requests finish.
        self._on_stop()
        super().handle_exit(sig, frame)


async def serve(
    app: ASGIApp,
    bound: socket.socket,
    *,
    stop: asyncio.Event,
    trusted_proxies: str | None,
    on_ready: Callable[[], None] = lambda: None,
) -> bool:
    """Serve on the bound socket until a signal or `stop`; False when it could not start.

    `trusted_proxies`: whose X-Forwarded-For is believed; the caller's address is kept with an acceptance.
    """
    loop = asyncio.get_running_loop()
    server = HouseServer(
        app,
        trusted_proxies=trusted_proxies,
        on_ready=on_ready,
        on_stop=lambda: loop.call_soon_threadsafe(stop.set),
    )

    async def leave_when_stopped() -> None:
        await stop.wait()
        server.should_exit = True

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
